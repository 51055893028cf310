"""Processes and devices: the team that trains together, and what it computes on."""
