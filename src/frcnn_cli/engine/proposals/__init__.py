"""Proposals for images and datasets, computed, cached, converted and drawn."""
