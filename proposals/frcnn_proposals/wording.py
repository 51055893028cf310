"""Counts in messages."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 image`, or `2 images`; the plural is the noun with an s unless it is given."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"
