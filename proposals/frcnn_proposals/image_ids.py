"""The rule for image ids: the path below the root, without the suffix of the image file.

Datasets, folders of images, lists and proposal files use it alike, so that their ids match.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from frcnn_proposals.images import SUFFIXES


def without_suffix(path: str) -> str:
    """`path` without the suffix of an image file. Any other suffix is a part of the name."""
    pure = PurePosixPath(path)
    return path[: -len(pure.suffix)] if pure.suffix.lower() in SUFFIXES else path


def ids_of_paths(paths: Sequence[str]) -> list[str]:
    """The image ids of different images, from their paths below a common root, with slashes.

    Images whose paths differ only in the suffix keep it: a.jpg and a.png are not one image.
    """
    ids = [without_suffix(path) for path in paths]
    # A suffix that is kept can equal another id: a.jpg beside a.png, and a.jpg.jpg.
    while repeated := repeated_ids(ids):
        kept = [path if name in repeated else name for path, name in zip(paths, ids, strict=True)]
        if kept == ids:  # the paths themselves are equal
            break
        ids = kept
    return ids


def repeated_ids(ids: Iterable[str]) -> set[str]:
    """The ids that occur more than once."""
    return {image_id for image_id, times in Counter(ids).items() if times > 1}
