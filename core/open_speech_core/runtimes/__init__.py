"""What engines on the same library share. Importing these imports none of the libraries; calling them does."""
