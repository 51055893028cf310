"""Datasets: found, read, checked, generated, downloaded and exported. Pixels stay on disk."""
