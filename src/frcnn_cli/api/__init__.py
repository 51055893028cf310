"""What `import frcnn` offers: the engine's work, called with paths, names and keyword arguments."""
