"""Each plugin, alone with the server in a clean environment, serves. ``python -m tests.alone`` shows it."""
