"""Is a plugin without a hook."""
