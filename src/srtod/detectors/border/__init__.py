"""What enters a detector, checked."""
