"""`frcnn compress`: compress models."""
