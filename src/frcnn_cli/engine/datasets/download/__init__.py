"""Datasets from their publishers."""
