"""Images to feature levels."""
