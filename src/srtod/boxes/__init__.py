"""Geometry on tensors: overlaps, coders, anchors, assigners, samplers, candidates, NMS."""
