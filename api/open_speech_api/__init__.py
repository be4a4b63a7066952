"""The Open Speech server: HTTP in front, workers behind."""
