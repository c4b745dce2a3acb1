"""What every part may lean on: files, errors, devices, the hub, progress, provenance."""
