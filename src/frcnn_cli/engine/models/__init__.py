"""Models on disk: files, where they came from, what training starts from."""
