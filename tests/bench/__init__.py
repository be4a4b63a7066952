"""The benchmark: what the server costs beside the libraries it serves. ``python -m tests.bench`` runs it."""
