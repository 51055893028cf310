"""Layers of the network that torch has not, or not as quick."""
