"""Distributed processes, the devices that they use, and the threads that keep these busy."""
