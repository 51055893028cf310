"""`frcnn report`."""
