"""Videos and streams: which there are, their frames, tracks of what was found, annotated videos."""
