"""`frcnn compress`."""
