"""Training from image labels, without boxes."""
