"""Who may come in, and how the way is kept private."""
