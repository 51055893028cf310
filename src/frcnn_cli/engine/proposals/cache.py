"""The cache of computed proposals."""

from __future__ import annotations

import os
import re
from pathlib import Path

from frcnn_proposals.base import Source
from frcnn_proposals.store.provenance import Provenance


def cache_folder() -> Path:
    """The cache folder: $FRCNN_CACHE, or ~/.cache/frcnn if it is not set."""
    return Path(os.environ.get("FRCNN_CACHE") or Path.home() / ".cache" / "frcnn")


def cache_path(name: str, source: Source) -> Path:
    """The store that caches the proposals of `source` for the dataset `name`.

    Each source, set of parameters and version has its own store. The store identifies each
    image by its content.
    """
    label = re.sub(r"[^A-Za-z0-9.+-]+", "_", f"{name}-{source.name}")
    name = f"{label}-{Provenance.of(source).fingerprint[:12]}.proposals"
    return cache_folder() / "proposals" / name
