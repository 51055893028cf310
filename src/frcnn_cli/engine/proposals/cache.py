"""The cache of computed proposals."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from frcnn_proposals.base import Source
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.store.provenance import Provenance

_ADVICE = "Set FRCNN_CACHE to a folder for computed proposals and unfinished work."


def cache_folder() -> Path:
    """The cache folder: $FRCNN_CACHE, or ~/.cache/frcnn if it is not set.

    Raises InputError if it is not set and the user has no home folder.
    """
    if folder := os.environ.get("FRCNN_CACHE"):
        return Path(folder)
    try:
        return Path.home() / ".cache" / "frcnn"
    except RuntimeError as error:
        raise InputError(f"The cache has no folder ({reason(error)}).\n{_ADVICE}") from error


@contextmanager
def cache_explained(path: Path) -> Iterator[None]:
    """Say how to choose another cache if the block cannot write `path`, a file in the cache.

    The user did not choose this path, so a message about it alone does not help.
    """
    try:
        yield
    except (InputError, PermissionError) as error:
        text = str(error)
        if isinstance(error, PermissionError):
            text = f"{error.filename}: cannot be used ({error.strerror})"
        elif "cannot be written" not in text:
            raise
        if not text.startswith(str(path)):
            raise
        raise InputError(f"{text}\n{_ADVICE}") from error


def cache_path(name: str, source: Source) -> Path:
    """The store that caches the proposals of `source` for the dataset `name`.

    Each source, set of parameters and version has its own store. The store identifies each
    image by its content.
    """
    label = re.sub(r"[^A-Za-z0-9.+-]+", "_", f"{name}-{source.name}")
    name = f"{label}-{Provenance.of(source).fingerprint[:12]}.proposals"
    return cache_folder() / "proposals" / name
