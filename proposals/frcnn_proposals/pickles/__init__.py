"""Pickles of proposals, read without running code."""
