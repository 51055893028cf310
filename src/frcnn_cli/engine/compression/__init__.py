"""Compression by truncated SVD of the fully connected layers (paper, section 3.1)."""

from frcnn_cli.engine.compression.compress import Compression, compress

__all__ = ["Compression", "compress"]
