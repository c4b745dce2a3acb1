"""Geometry on tensors: overlaps, coders, anchors, assigners, samplers, suppression."""
