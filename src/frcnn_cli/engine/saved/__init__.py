"""Models and runs on the disk."""
