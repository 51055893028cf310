"""`frcnn bench`: benchmarks of this toolkit and its alternatives."""
