"""The contract between the Open Speech server and its plugins."""
