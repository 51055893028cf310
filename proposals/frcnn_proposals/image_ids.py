"""The rule for image ids: the path below the root, without the suffix of the image file.

Datasets, folders of images, lists and proposal files use it alike, so that their ids match.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from frcnn_proposals.images import SUFFIXES

Key = TypeVar("Key")


def without_suffix(path: str) -> str:
    """`path` without the suffix of an image file. Any other suffix is a part of the name."""
    stem, suffix = os.path.splitext(path)
    return stem if suffix.lower() in SUFFIXES else path


def ids_of_paths(paths: Sequence[str]) -> list[str]:
    """The image ids of different images, from their paths below a common root, with slashes.

    Images whose paths differ only in the suffix keep it: a.jpg and a.png are not one image.
    """
    ids = {place: without_suffix(path) for place, path in enumerate(paths)}
    return list(longer_where_repeated(ids, lambda place: paths[place]).values())


def repeated_ids(ids: Iterable[str]) -> set[str]:
    """The ids that occur more than once."""
    return {image_id for image_id, times in Counter(ids).items() if times > 1}


def longer_where_repeated(ids: Mapping[Key, str], longer: Callable[[Key], str]) -> dict[Key, str]:
    """The ids of images by key, with `longer(key)` in place of each id that occurs more than once.

    A longer id can equal another one, which is replaced too: a.jpg beside a.png, and a.jpg.jpg.
    """
    unique, short = dict(ids), set(ids)
    while repeated := repeated_ids(unique.values()):
        replaced = [key for key in short if unique[key] in repeated]
        if not replaced:  # the longer ids themselves are equal
            break
        unique |= {key: longer(key) for key in replaced}
        short.difference_update(replaced)
    return unique


def paths_below(root: str | Path, paths: Iterable[str | Path]) -> list[str]:
    """The paths below `root`, with slashes, as far as names go.

    If one is outside, `root` is replaced by the innermost folder that contains all of them.
    """
    full = [os.path.abspath(path) for path in paths]
    base = os.path.abspath(root)
    if any(os.path.commonpath([base, path]) != base for path in full):
        base = os.path.commonpath([os.path.dirname(path) for path in full])
    return [os.path.relpath(path, base).replace(os.sep, "/") for path in full]
