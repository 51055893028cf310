"""The rule for image ids, and the comparison of the ids of proposals with those of images.

An id is the path below the root, without the suffix of the image file. Datasets, folders of images,
lists and proposal files use the rule alike, so that their ids match.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from frcnn_proposals.errors import InputError
from frcnn_proposals.images import SUFFIXES
from frcnn_proposals.wording import counted, some_of

Key = TypeVar("Key")
PathKey = TypeVar("PathKey", str, Path)
_NAMED = 5  # ids in a message


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


def path_where_repeated(ids: Mapping[PathKey, str], root: str | Path) -> dict[PathKey, str]:
    """The ids of images by path, with the path below `root` in place of repeated ones."""
    if not repeated_ids(ids.values()):
        return dict(ids)
    below = ids_of_paths(paths_below(root, ids))
    return longer_where_repeated(ids, dict(zip(ids, below, strict=True)).__getitem__)


def paths_below(root: str | Path, paths: Iterable[str | Path]) -> list[str]:
    """The paths below `root`, with slashes, as far as names go.

    If one is outside, `root` is replaced by the innermost folder that contains all of them.
    """
    full = [os.path.abspath(path) for path in paths]
    base = os.path.abspath(root)
    if any(os.path.commonpath([base, path]) != base for path in full):
        base = os.path.commonpath([os.path.dirname(path) for path in full])
    return [os.path.relpath(path, base).replace(os.sep, "/") for path in full]


@dataclass(frozen=True)
class IdMatch:
    """The result of comparing ids.

    missing: images without proposals, in the order of the images. extra: the first few ids that
    have proposals but no image; extra_count: the number of all such ids.
    """

    images: int
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    extra_count: int

    @property
    def is_exact(self) -> bool:
        return not self.missing and not self.extra_count

    def describe(self) -> str:
        """Counts and names of the ids that do not match, in one line; empty if all match."""
        parts = []
        if self.missing:
            parts.append(
                f"{some_of(len(self.missing), self.images, 'image', 'has', 'have')} no proposals "
                f"({_some(self.missing, len(self.missing))})"
            )
        if self.extra_count:
            ids = counted(self.extra_count, "id with proposals is", "ids with proposals are")
            parts.append(f"{ids} not among the images ({_some(self.extra, self.extra_count)})")
        return "; ".join(parts)

    def reject_mismatch(self, file: str, advice: str) -> None:
        """Raises InputError unless all ids match. advice: the option or command to use."""
        if not self.is_exact:
            raise InputError(f"{file}: {self.describe()}.\n{advice}")


def match_ids(
    proposals: Collection[str],
    image_ids: Sequence[str],
    also_known: Callable[[], Iterable[str]] = tuple,
) -> IdMatch:
    """Find the `image_ids` without proposals, and the proposals without an image.

    also_known: returns more ids that the file may contain, such as those of the dataset's other
    splits. It is called only if there are more proposals than images.
    """
    missing = tuple(image_id for image_id in image_ids if image_id not in proposals)
    extra: list[str] = []
    extra_count = 0
    if len(proposals) > len(set(image_ids)) - len(set(missing)):
        known = {*image_ids, *also_known()}
        for image_id in proposals:
            if image_id not in known:
                extra_count += 1
                extra += [image_id] if extra_count <= _NAMED else []
    return IdMatch(len(image_ids), missing, tuple(extra), extra_count)


def _some(names: Sequence[str], count: int) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if count > _NAMED else "")
