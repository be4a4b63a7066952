"""Plugins, each with one thing wrong: what discovery and the conformance kit must catch."""
