"""The frcnn command-line toolkit: a detection engine and its commands."""

__version__ = "0.2.0"
