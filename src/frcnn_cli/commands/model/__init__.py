"""`frcnn model`."""
