"""Random numbers that belong to what they are for, so that order and workers do not matter."""

from __future__ import annotations

import hashlib

import numpy as np


def seed_for(*parts: int | str) -> int:
    """A 63-bit seed from numbers and names, the same on every machine and run."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator_for(*parts: int | str) -> np.random.Generator:
    """A generator of its own for each combination of `parts`."""
    return np.random.default_rng(seed_for(*parts))
