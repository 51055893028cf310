"""Random seeds derived from names, so that results do not depend on order or workers."""

from __future__ import annotations

import hashlib

import numpy as np


def seed_for(*parts: int | str) -> int:
    """Return a 63-bit seed for these numbers and names, the same on every machine and run."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator_for(*parts: int | str) -> np.random.Generator:
    """Create a generator with a separate seed for each combination of `parts`."""
    return np.random.default_rng(seed_for(*parts))
