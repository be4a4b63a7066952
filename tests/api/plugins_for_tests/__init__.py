"""Plugins that tests load by module name."""
