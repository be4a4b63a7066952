"""The JSON, text and multipart forms of what goes over HTTP: no engine, no samples, no routes."""
