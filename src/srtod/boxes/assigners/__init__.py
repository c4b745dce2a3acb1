"""Which box is to find which object, one file a rule."""
