"""Features of regions: what the network computes for given boxes, written to files."""
