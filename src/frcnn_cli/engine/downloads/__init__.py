"""Data sets from the network: fetched, checked, and only then unpacked."""
