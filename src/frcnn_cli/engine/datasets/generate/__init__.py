"""Datasets of generated pictures."""
