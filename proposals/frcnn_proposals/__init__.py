"""Proposals: sources that make boxes from pixels, the files that hold them, and the store."""
