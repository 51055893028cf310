"""The images in tar archives, and their ids."""

from __future__ import annotations

import glob
import itertools
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence

from frcnn_proposals.archives.tar import Archive, list_archive
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.image_ids import ids_of_paths, without_suffix
from frcnn_proposals.wording import counted, first_of

_RANGE = re.compile(r"\{([0-9]{1,18})\.\.([0-9]{1,18})\}")
_MOST = 1_000_000  # archives of one pattern
_NAMED = 3


def images_in_archives(
    patterns: Sequence[str], keeps: Callable[[str], bool]
) -> tuple[dict[str, str], str | None]:
    """The ids of the images in archives by path, and a message about repeated ids, if any.

    patterns: paths, globs, or ranges such as shards/{000..999}.tar. keeps: whether to take the
    image with this id, the name in the archive without suffix. If several archives have an id, the
    first image is taken. An archive that is missing or has a problem is itself an image, which
    cannot be read, so that the problem is reported like that of an image and stops no other.
    Raises MisuseError for a pattern without archives.
    """
    path_of: dict[str, str] = {}
    repeated: list[str] = []
    for path in _archives(patterns):
        try:
            archive = list_archive(path)
            images, is_whole = _images_in(path, archive, keeps), archive.problem is None
        except InputError:
            images, is_whole = [], False
        if not is_whole and keeps(path):
            images.append((path, path))
        for image_id, image in images:
            if (other := path_of.setdefault(image_id, image)) != image:
                repeated.append(f"{image} (first: {other})")
    message = None
    if repeated:
        images_have = counted(len(repeated), "image has", "images have")
        named = first_of(repeated, _NAMED)
        message = f"{images_have} an id that is also in another archive: {named}"
    return {path: image_id for image_id, path in path_of.items()}, message


def _images_in(path: str, archive: Archive, keeps: Callable[[str], bool]) -> list[tuple[str, str]]:
    """The ids and paths of the images in one archive."""
    names = [name for name in archive.members if _is_image(name)]
    names = [name for name in names if keeps(without_suffix(name))]
    paths = (os.path.join(path, name) for name in names)
    return list(zip(ids_of_paths(names), paths, strict=True))


def _is_image(name: str) -> bool:
    is_hidden = any(part.startswith(".") for part in name.split("/"))
    return without_suffix(name) != name and not is_hidden


def _archives(patterns: Sequence[str]) -> list[str]:
    """The archives of all patterns, each once, in order."""
    paths: list[str] = []
    for pattern in patterns:
        found = [pattern] if os.path.exists(pattern) else list(expand_ranges(pattern))
        if found == [pattern] and glob.has_magic(pattern):
            found = sorted(glob.glob(pattern, recursive=True))
        if not any(map(os.path.isfile, found)):
            raise MisuseError(f"{pattern}: no archive of this name")
        paths += found
    return list(dict.fromkeys(paths))


def expand_ranges(pattern: str) -> Iterator[str]:
    """The paths of a pattern such as shards/{000..999}.tar; numbers keep their leading zeros.

    Raises InputError for a range that goes down, or for far too many paths.
    """
    parts = _RANGE.split(pattern)  # text, first, last, text, first, last, ..., text
    bounds = zip(parts[1::3], parts[2::3], strict=True)
    ranges = [range(int(first), int(last) + 1) for first, last in bounds]
    if not 0 < math.prod(map(len, ranges)) <= _MOST:
        raise InputError(
            f"{pattern}: a range must go up, such as {{000..999}}, and all ranges together name "
            f"at most {_MOST:,} archives"
        )
    choices = [
        [str(number).zfill(len(first)) for number in numbers]
        for numbers, first in zip(ranges, parts[1::3], strict=True)
    ]
    for chosen in itertools.product(*choices):
        pairs = zip(chosen, parts[3::3], strict=True)
        yield parts[0] + "".join(number + text for number, text in pairs)
