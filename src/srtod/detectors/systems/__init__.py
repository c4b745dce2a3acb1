"""Named systems: each a short function that puts built parts together. Copy one and change it."""
