"""A page that walks through one image: what the network computes, in the order of the paper."""
