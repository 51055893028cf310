"""Annotated images, and the style of all figures."""
