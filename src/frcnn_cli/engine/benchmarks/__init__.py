"""Benchmarks of the operators beside other implementations, in turn in one run."""
