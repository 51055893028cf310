"""Proposals for many images: made, cached, converted, drawn, and matched to a data set."""
