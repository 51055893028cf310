"""Find, read, check, generate, download and export datasets. Pixels stay on disk."""
