"""Levels to losses or detections."""
