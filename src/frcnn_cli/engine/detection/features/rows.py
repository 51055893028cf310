"""Unfinished features: the values of each field in a file of rows, and a journal of the images.

Memory does not depend on the number of boxes: a row is written as soon as it is computed, and the
final file is written from these files in blocks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.detection.journal import ImageJournal
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_proposals.errors import Error, InputError, reason
from frcnn_proposals.files import check_no_link
from frcnn_proposals.locking import OnWait

_BYTES_AT_ONCE = 16 << 20
# The values of some boxes, by the name of the field; the first axis is the boxes'.
Block = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Field:
    """One field of the boxes. shape: of the value of a box."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class ImageRows:
    """An image's boxes, in rows `start` to `end` of the files next to `journal`, and its size."""

    start: int
    count: int
    width: int
    height: int
    journal: Path

    @property
    def end(self) -> int:
        return self.start + self.count


_STORED = ("start", "count", "width", "height")


class FeatureJournal(ImageJournal[ImageRows]):
    """Finished images, with their rows in files next to the journal.

    fields: written as `<journal>.<field>`; empty if each image has its own final file. Rows after
    those of the last finished image are removed.
    """

    content = "features"

    def __init__(
        self,
        path: Path,
        identity: Mapping[str, Any],
        fields: Mapping[str, Field],
        on_wait: OnWait | None = None,
        team: Team = ALONE,
    ) -> None:
        self._fields = fields
        self._files: dict[str, BinaryIO] = {}
        self._end = 0
        super().__init__(path, identity, on_wait, team)
        try:
            self._open_rows()
        except OSError as error:
            self.close()
            raise InputError(f"{path}: cannot be written ({reason(error)})") from error
        except InputError:
            self.close()
            raise

    def to_json(self, value: ImageRows) -> dict[str, Any]:
        return {name: getattr(value, name) for name in _STORED}

    def from_json(self, fields: Mapping[str, Any], path: Path) -> ImageRows:
        values = [fields[name] for name in _STORED]
        if any(not isinstance(value, int) or value < 0 for value in values):
            raise ValueError("a number of rows or pixels is invalid")
        start, count, width, height = values
        return ImageRows(start, count, width, height, path)

    def complete(
        self, path: Path, results: Sequence[tuple[tuple[str, str], ImageRows]]
    ) -> Sequence[tuple[tuple[str, str], ImageRows]]:
        """The images whose rows are in the files. A power failure can lose rows of others."""
        if not self._fields:
            return results
        stored = min(
            file.stat().st_size // _row_bytes(field) if file.exists() else 0
            for file, field in zip(self.files_of(path), self._fields.values(), strict=True)
        )
        found: list[tuple[tuple[str, str], ImageRows]] = []
        for key, rows in results:
            while found and found[-1][1].end > rows.start:
                found.pop()  # its rows were lost, and those of this image are in their place
            found.append((key, rows))
        found = [(key, rows) for key, rows in found if rows.end <= stored]
        if path == self.path and found:
            self._end = found[-1][1].end
        return found

    def files_of(self, path: Path) -> list[Path]:
        return [row_path(path, name) for name in self._fields]

    def append(self, blocks: Iterable[Block], size: tuple[int, int]) -> ImageRows:
        """Write the rows of an image of `size` (width, height)."""
        start = end = self._end
        try:
            for block in blocks:
                end += len(block["boxes"])
                for name, field in self._fields.items():
                    values = np.ascontiguousarray(block[name], field.dtype)
                    self._files[name].write(values.data)
            for file in self._files.values():
                file.flush()
        except OSError as error:
            # Not an InputError, which would only skip the image.
            raise Error(f"{self.path}: cannot be written ({error.strerror}).") from error
        except InputError:
            self._truncate(start)  # of the image that failed; the next one follows
            raise
        self._end = end
        return ImageRows(start, end - start, *size, self.path)

    def forget_unless(self, is_there: Callable[[str], bool]) -> None:
        """Forget the images for which the function returns False, to compute them again."""
        self._known = {key: rows for key, rows in self._known.items() if is_there(key[0])}

    def sync(self) -> None:
        for file in self._files.values():
            os.fsync(file.fileno())
        super().sync()

    def remove(self) -> None:
        self._close_rows()
        super().remove()

    def close(self) -> None:
        self._close_rows()
        super().close()

    def _open_rows(self) -> None:
        for name in self._fields:
            path = row_path(self.path, name)
            check_no_link(path)
            self._files[name] = open(path, "r+b" if path.exists() else "w+b")  # noqa: SIM115
        self._truncate(self._end)

    def _truncate(self, rows: int) -> None:
        self._end = rows
        for name, file in self._files.items():
            file.truncate(rows * _row_bytes(self._fields[name]))
            file.seek(0, os.SEEK_END)

    def _close_rows(self) -> None:
        for file in self._files.values():
            file.close()


def row_path(journal: Path, name: str) -> Path:
    """The file with the rows of a field, next to the journal."""
    return journal.with_name(f"{journal.name}.{name}")


def read_rows(path: Path, field: Field, rows: ImageRows) -> Iterator[NDArray[Any]]:
    """The values of a field in some rows of its file, in blocks. Raises InputError if it is cut."""
    size = _row_bytes(field)
    at_once = max(1, _BYTES_AT_ONCE // size)
    with open(path, "rb") as file:
        file.seek(rows.start * size)
        for first in range(0, rows.count, at_once):
            count = min(at_once, rows.count - first)
            data = file.read(count * size)
            if len(data) < count * size:
                raise InputError(f"{path}: ends early. Remove it, and start again.")
            yield np.frombuffer(data, field.dtype).reshape(count, *field.shape)


def _row_bytes(field: Field) -> int:
    return field.dtype.itemsize * int(np.prod(field.shape))
