"""Fixtures for the tests of stores to which rows are added."""

from __future__ import annotations

from pathlib import Path

import pytest
from killed_appends import write


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A store, and rows to add: new images, changed ones, and changes to and from a failure."""
    store = write(tmp_path / "store", {f"old{n:03}": n for n in range(200)}, ("bad", "worse"))
    changed = {f"new{n:03}": n for n in range(100)} | {"old007": 700, "bad": 5}
    return store, write(tmp_path / "added", changed, ("old008", "gone"))
