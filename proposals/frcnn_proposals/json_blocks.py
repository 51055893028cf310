"""Read a JSON file of detections in blocks: all entries at once may not fit into memory."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.reading import open_file, read_utf8

_BLOCK = 1 << 18
# The last brace in a block can be that of an object within an entry; an entry has few of these.
_ENDS_TRIED = 8


@dataclass(frozen=True)
class ResultsFile:
    """A file of detections: a list, or an object with a list.

    categories: those of the file, if any. content: the list; None if it is read in blocks.
    """

    path: Path
    categories: list[Any] | None = None
    content: list[Any] | None = None

    @classmethod
    def open(cls, path: Path) -> ResultsFile:
        """The file. Raises InputError if it is not readable or has no list of detections."""
        try:
            with open_file(path) as file:
                if _without_mark(file.read(_BLOCK)).lstrip().startswith(b"["):
                    return cls(path)
        except OSError as error:
            raise _unreadable(path, error) from error
        content, categories = _loaded(path), None
        if isinstance(content, dict):
            categories = content.get("categories")
            content = content.get("annotations", content.get("detections"))
        if not isinstance(content, list):
            raise InputError(f"{path}: expected a list of detections in the format of COCO results")
        return cls(path, categories if isinstance(categories, list) else None, content)

    def blocks(self) -> Iterator[list[Any]]:
        """The entries, in several lists. Raises InputError for invalid JSON."""
        if self.content is not None:
            yield self.content
            return
        count = 0
        try:
            with open_file(self.path) as file:
                for entries in _blocks(file):
                    count += len(entries)
                    yield entries
        except OSError as error:
            raise _unreadable(self.path, error) from error
        except orjson.JSONDecodeError:
            # It has the position in a block; loading the whole file raises it with the right one.
            yield _loaded(self.path)[count:]


def _blocks(file: BinaryIO) -> Iterator[list[Any]]:
    """The entries of a file with a list. Raises JSONDecodeError if it is not valid."""
    text = _without_mark(file.read(_BLOCK)).lstrip().removeprefix(b"[")
    before = b"["  # what makes the rest of the file a list
    while block := file.read(max(_BLOCK, len(text))):
        text += block
        end = len(text)
        for _ in range(_ENDS_TRIED):
            end = text.rfind(b"}", 0, end)
            if end < 0:
                break
            try:
                # Only complete entries are valid: an end within an entry or a string is not.
                entries = orjson.loads(before + text[: end + 1] + b"]")
            except orjson.JSONDecodeError:
                continue
            yield entries[1:] if before != b"[" else entries
            text, before = text[end + 1 :], b"[0"
            break
    entries = orjson.loads(before + text)
    yield entries[1:] if before != b"[" else entries


def _without_mark(start: bytes) -> bytes:
    return start.removeprefix(BOM_UTF8)


def _loaded(path: Path) -> Any:
    try:
        return orjson.loads(read_utf8(path))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: not a readable JSON file ({reason(error)})")
