"""Detectors as other tools of the field know them; each needs its package."""
