"""Parts put together: detectors by name, their files, and checkpoints from elsewhere."""
