"""Compression by truncated SVD of the fully connected layers (paper, section 3.1)."""
