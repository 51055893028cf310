"""Counts and rates in messages."""

from __future__ import annotations

from collections.abc import Sequence


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 image`, or `2 images`; the plural is the noun with an s unless it is given."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def some_of(count: int, total: int, noun: str, one: str, more: str, plural: str = "") -> str:
    """`1 of 3 images has`, or `2 of 3 images have`: `one` and `more` are the forms of the verb."""
    return f"{count} of {counted(total, noun, plural)} {one if count == 1 else more}"


def first_of(names: Sequence[str], most: int) -> str:
    """`cat, dog`, or `cat, dog and 3 more` of more names than `most`."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def rate_of(per_second: float, noun: str) -> str:
    """`8.0 images/s`, or `2.5 s per image` for less than one per second."""
    if 0 < per_second < 1:
        return f"{1 / per_second:.1f} s per {noun}"
    return f"{per_second:.1f} {noun}s/s"
