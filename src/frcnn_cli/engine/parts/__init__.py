"""Images and results as rows, and results in files that are complete or absent."""
