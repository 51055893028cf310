"""Reading a proposal file of any format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from frcnn_proposals.base import Proposals
from frcnn_proposals.store import open_store


def read_proposals(path: str | Path, format: str | None = None) -> Mapping[str, Proposals]:
    """Boxes by image id."""
    return open_store(path)
