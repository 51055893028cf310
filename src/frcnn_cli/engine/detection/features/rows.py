"""Unfinished features: the values of each field in a file of rows, and a journal of the images.

Memory does not depend on the number of boxes: a row is written as soon as it is computed, and the
final file is written from these files in blocks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.detection.journal import ImageJournal
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
    """The boxes of an image: rows `start` to `start + count` of the files, and the image's size."""

    start: int
    count: int
    width: int
    height: int


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
    ) -> None:
        self._fields = fields
        self._files: dict[str, BinaryIO] = {}
        self._end = 0
        super().__init__(path, identity, on_wait)
        try:
            self._open_rows()
        except OSError as error:
            self.close()
            raise InputError(f"{path}: cannot be written ({reason(error)})") from error
        except InputError:
            self.close()
            raise

    def to_json(self, value: ImageRows) -> dict[str, Any]:
        return asdict(value)

    def from_json(self, fields: Mapping[str, Any]) -> ImageRows:
        rows = ImageRows(*(fields[name] for name in ("start", "count", "width", "height")))
        if any(not isinstance(value, int) or value < 0 for value in asdict(rows).values()):
            raise ValueError("a number of rows or pixels is invalid")
        return rows

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
        return ImageRows(start, end - start, *size)

    def forget_unless(self, is_there: Callable[[str], bool]) -> None:
        """Forget the images for which the function returns False, to compute them again."""
        self._known = {i: stored for i, stored in self._known.items() if is_there(i)}

    def sync(self) -> None:
        for file in self._files.values():
            os.fsync(file.fileno())
        super().sync()

    def remove(self) -> None:
        self._close_rows()
        for name in self._fields:
            row_path(self.path, name).unlink(missing_ok=True)
        super().remove()

    def close(self) -> None:
        self._close_rows()
        if len(self) == 0:
            for name in self._fields:
                row_path(self.path, name).unlink(missing_ok=True)
        super().close()

    def _open_rows(self) -> None:
        for name in self._fields:
            path = row_path(self.path, name)
            check_no_link(path)
            self._files[name] = open(path, "r+b" if path.exists() else "w+b")  # noqa: SIM115
        stored = min(
            (
                os.fstat(file.fileno()).st_size // _row_bytes(self._fields[name])
                for name, file in self._files.items()
            ),
            default=None,
        )
        if stored is not None:
            # A power failure can lose rows of images that are in the journal.
            lost = [i for i, (_, rows) in self._known.items() if rows.start + rows.count > stored]
            for image_id in lost:
                del self._known[image_id]
        self._truncate(max((r.start + r.count for _, r in self._known.values()), default=0))

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
