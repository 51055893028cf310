"""Results in parts: files with one row per image, in one folder, each complete or absent."""
