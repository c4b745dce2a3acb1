"""srtod."""
