"""The frcnn command-line toolkit: a detection engine and the commands around it."""

__version__ = "0.1.0"
