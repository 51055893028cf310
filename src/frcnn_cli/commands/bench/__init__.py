"""`frcnn bench`."""
