"""Compute, cache, convert and draw the proposals of images and datasets."""
