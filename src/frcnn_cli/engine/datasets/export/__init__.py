"""Datasets written in other layouts."""
