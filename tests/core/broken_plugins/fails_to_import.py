"""Raises while it is imported."""

raise ImportError("no module named libcuda")
