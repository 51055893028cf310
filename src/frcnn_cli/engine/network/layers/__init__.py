"""Layers that are not part of torch."""
