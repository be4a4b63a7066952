"""The worker: a process that runs one engine and speaks frames over two descriptors."""
