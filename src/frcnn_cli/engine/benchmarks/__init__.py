"""Benchmarks against other implementations, interleaved in one run."""
