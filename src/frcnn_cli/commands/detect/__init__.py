"""`frcnn detect`."""
