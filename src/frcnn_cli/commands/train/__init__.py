"""`frcnn train`."""
