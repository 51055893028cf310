"""Proposals: sources that compute boxes from pixels, file formats of boxes, and the store."""
