"""Where proposals that nobody asked to keep are kept all the same."""

from __future__ import annotations

import os
import re
from pathlib import Path

from frcnn_proposals.base import Source
from frcnn_proposals.store.provenance import Provenance


def cache_folder() -> Path:
    """$FRCNN_CACHE, else ~/.cache/frcnn."""
    return Path(os.environ.get("FRCNN_CACHE") or Path.home() / ".cache" / "frcnn")


def cache_path(name: str, source: Source) -> Path:
    """The store in which the proposals of `source` for the data set `name` are cached.

    It differs for every source, parameter and version. The store itself knows each image by
    its content.
    """
    label = re.sub(r"[^A-Za-z0-9.+-]+", "_", f"{name}-{source.name}")
    name = f"{label}-{Provenance.of(source).fingerprint[:12]}.proposals"
    return cache_folder() / "proposals" / name
