"""A COCO json file, and the ids and file names in it."""

from __future__ import annotations

import gc
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson

from frcnn_cli.engine.datasets.layout import leads_inside
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.reading import read_utf8

# The id of an image, a category or an annotation.
Id = int | str
_LONGEST_ID = 255
# Larger numbers are not exact as a float.
_LARGEST_FLOAT = 1 << 53
_INTEGER = re.compile(r"0|-?[1-9]\d{,17}", re.ASCII)
# An integer of 19 or more digits may not fit into 64 bits. With all digits replaced by zeros, the
# search is several times as fast as with a regular expression.
_LONG = b"0" * 19
_DIGITS_AS_ZERO = bytes.maketrans(b"123456789", b"000000000")
_BLOCK = 1 << 20  # bytes
_LISTS = (b"images", b"annotations", b"categories")
_DRIVE = re.compile(r"[A-Za-z]:/")
# A file without images has only categories.
_LARGEST_EMPTY = 1 << 20
_NO_IMAGES = re.compile(rb'"images"\s*:\s*\[\s*\]')
_FILE_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')


def load_json(path: Path) -> dict[str, Any]:
    try:
        content = _loaded(read_utf8(path))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a readable json file ({reason(error)})") from error
    lists = ("images", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in lists):
        raise InputError(
            f"{path}: not a COCO dataset: expected lists of images, annotations and categories"
        )
    if not content["images"]:
        raise InputError(f"{path}: the file lists no images")
    return content


def lists_no_images(path: Path) -> bool:
    """Whether a json file has an empty list of images, as exports of a split without any have."""
    try:
        if path.stat().st_size > _LARGEST_EMPTY:
            return False
        return _NO_IMAGES.search(read_utf8(path)) is not None
    except (OSError, ValueError):  # reading the split reports the error
        return False


def file_names(path: Path, root: Path) -> list[str]:
    """The names of the images in a json file, found without parsing its annotations."""
    try:
        found = _FILE_NAME.findall(read_utf8(path))
        names = [json.loads(text) for text in found]
    except (OSError, ValueError):  # reading the split reports the error
        return []
    inside = (name_inside(path, root, name) for name in names)
    return [name for name in inside if name is not None]


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector, which would scan many small objects repeatedly."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _loaded(content: bytes) -> Any:
    """Parse JSON; integers of up to 20 digits are exact, longer ones become floats.

    Those do not fit into 64 bits, as NumPy requires. Raises ValueError if a list occurs twice,
    as in files that were put together by hand: the last one would replace the others.
    """
    # Looking at every object takes time.
    may_repeat = any(content.count(b'"%b"' % key) > 1 for key in _LISTS)
    has_long = _has_long(content)
    if not (may_repeat or has_long):
        # Three times as fast as json, but it rejects NaN, and its messages differ.
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(content)
    is_long = has_long and re.search(rb"\d{21}", content) is not None
    return json.loads(
        content,
        parse_int=_short_integer if is_long else None,
        object_pairs_hook=_distinct if may_repeat else None,
    )


def _has_long(content: bytes) -> bool:
    """Whether the text has as many digits in sequence as _LONG."""
    # In blocks, because a copy of a large file takes as much memory as the file. A sequence that
    # crosses the end of a block begins in what the next block repeats.
    repeated = len(_LONG) - 1
    return any(
        _LONG in content[start : start + _BLOCK + repeated].translate(_DIGITS_AS_ZERO)
        for start in range(0, len(content), _BLOCK)
    )


def _short_integer(text: str) -> int | float:
    return int(text) if len(text.lstrip("-")) < 21 else float(text)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        ((key, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {key[:40]!r} occurs twice in an object")
    return value


def identifier(value: Any) -> Id | None:
    """Return the id of an image or a category: an integer, or a text that is not one.

    Some tools write integers as text, or with a decimal point. None for other values.
    """
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_FLOAT:
        return int(value)
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.isprintable():
        return int(value) if _INTEGER.fullmatch(value) else value
    return None


def name_inside(path: Path, root: Path, file_name: object) -> str | None:
    """Return the file name of an image with slashes; None if it leads out of the dataset.

    An absolute name, or one with `..`, is resolved from the folder of the json at `path`, as far
    as names go, and returned relative to `root`, the dataset's folder.
    """
    if not isinstance(file_name, str):
        return None
    name = file_name.replace("\\", "/")  # as tools on Windows write it
    if leads_inside(name) and not _DRIVE.match(name):
        return name
    if "\0" in name or _DRIVE.match(name):
        return None
    full = os.path.normpath(os.path.join(os.path.abspath(path.parent), name))
    below = os.path.relpath(full, os.path.abspath(root)).replace(os.sep, "/")
    return below if leads_inside(below) else None
