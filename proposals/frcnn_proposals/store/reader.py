"""Read a proposal store: boxes by image id from one file, only for the requested images."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.base import Proposals
from frcnn_proposals.checks import check_proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.store.opening import OpenStore, open_read_only
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.schema import damaged

_SIZES_AT_ONCE = 500  # SQLite limits the values of a statement


def open_store(path: str | Path) -> ProposalStore:
    """The store in the file `path`. Raises InputError if the file is missing or not a store."""
    return ProposalStore(path)


class ProposalStore(Mapping[str, Proposals]):
    """The proposals of many images, by image id. Each image is read when it is requested.

    store[image_id] returns Proposals in pixels of the original image (see base.py), sorted if they
    have scores. It raises
    KeyError for an id without boxes, and InputError if the file is damaged. Ids are sorted. A
    store can be pickled and used from any process or thread: each opens its own connection.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._opened = threading.local()
        self._length: int | None = None
        self.provenance = self._read_provenance()

    def __getitem__(self, image_id: str) -> Proposals:
        return self.with_size(image_id)[0]

    def with_size(self, image_id: str) -> tuple[Proposals, tuple[int | None, int | None]]:
        """Return store[image_id], and the width and height of its image: None if not known."""
        row = self._row("SELECT boxes, scores, width, height FROM proposals WHERE id = ?", image_id)
        if row is None:
            raise KeyError(image_id)
        boxes, scores, width, height = row
        try:
            proposals = stored_proposals(boxes, scores)
            check_proposals(proposals, width, height)
        except (TypeError, ValueError) as error:
            raise InputError(f"{self.path}: image {image_id!r}: {error}") from error
        return proposals.top(None), (width, height)

    def __contains__(self, image_id: object) -> bool:
        return self._row("SELECT 1 FROM proposals WHERE id = ?", image_id) is not None

    def __len__(self) -> int:
        # Stored by finish(), because counting a million rows takes time.
        if self._length is None:
            row = self._row("SELECT value FROM about WHERE key = ?", "images")
            if row is None or not str(row[0]).isdecimal():
                raise damaged(self.path, "its number of images is missing")
            self._length = int(row[0])
        return self._length

    def count(self) -> int:
        """Number of images in the store, with boxes or without."""
        return len(self) + int(next(self._rows("SELECT count(*) FROM failures"))[0])

    def __iter__(self) -> Iterator[str]:
        return self.ids()

    def ids(self) -> Iterator[str]:
        """The ids of the images with boxes, sorted."""
        for (image_id,) in self._rows("SELECT id FROM proposals ORDER BY id"):
            if not isinstance(image_id, str):
                raise damaged(self.path, "an image id is not text")
            yield image_id

    def failures(self) -> Iterator[tuple[str, str]]:
        """(id, reason) of the images without boxes, because reading or proposing failed; sorted."""
        for image_id, error in self._rows("SELECT id, error FROM failures ORDER BY id"):
            yield str(image_id), str(error)

    def digest(self, image_id: str) -> str | None:
        """SHA-256 of the image file that the boxes were computed from; None if it is not known."""
        row = self._row("SELECT digest FROM proposals WHERE id = ?", image_id)
        return None if row is None or row[0] is None else str(row[0])

    def digests(self) -> dict[str, str]:
        """SHA-256 of the image files by image id, as far as they are known."""
        rows = self._rows("SELECT id, digest FROM proposals WHERE digest IS NOT NULL")
        return {str(image_id): str(digest) for image_id, digest in rows}

    def failure(self, image_id: str) -> tuple[str | None, str] | None:
        """(digest, reason) if the image failed, else None."""
        row = self._row("SELECT digest, error FROM failures WHERE id = ?", image_id)
        return None if row is None else (row[0], str(row[1]))

    def image_size(self, image_id: str) -> tuple[int, int] | None:
        """(width, height) in pixels; None if it is not known."""
        return self.image_sizes([image_id]).get(image_id)

    def image_sizes(self, image_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
        """The (width, height) of the given images by id; images of unknown size are missing."""
        found = {}
        for start in range(0, len(image_ids), _SIZES_AT_ONCE):
            some = image_ids[start : start + _SIZES_AT_ONCE]
            places = ", ".join("?" * len(some))
            query = (
                f"SELECT id, width, height FROM proposals WHERE id IN ({places}) "
                "AND width IS NOT NULL AND height IS NOT NULL"
            )
            for image_id, width, height in self._rows(query, *some):
                found[str(image_id)] = (width, height)
        return found

    def close(self) -> None:
        """Close this thread's connection, which keeps others from adding rows in place.

        It is opened again when it is needed, with the rows that were added meanwhile.
        """
        if getattr(self._opened, "process", None) == os.getpid():
            self._opened.store.close()
            self._opened.process = None
        self._length = None

    def __reduce__(self) -> tuple[type[ProposalStore], tuple[Path]]:
        return ProposalStore, (self.path,)

    def _read_provenance(self) -> Provenance:
        row = self._row("SELECT value FROM about WHERE key = ?", "provenance")
        try:
            return Provenance.from_json(row[0] if row else "null")
        except (TypeError, ValueError) as error:
            raise damaged(self.path, error) from error

    def _row(self, query: str, key: object) -> Any:
        rows = list(self._rows(query, key)) if isinstance(key, str) else []
        return rows[0] if rows else None

    def _rows(self, query: str, *values: str) -> Iterator[Any]:
        try:
            yield from self._connection().execute(query, values)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise damaged(self.path, error) from error

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection. A forked process must not use the connection of its parent."""
        if getattr(self._opened, "process", None) != os.getpid():
            self._opened.store = open_read_only(self.path)
            self._opened.process = os.getpid()
        store: OpenStore = self._opened.store
        return store.connection


def stored_proposals(boxes: object, scores: object) -> Proposals:
    """The proposals in the columns of a row. Raises TypeError or ValueError for other content."""
    values = _floats(boxes).reshape(-1, 4)
    return Proposals(values, None if scores is None else _floats(scores))


def _floats(blob: object) -> NDArray[np.float32]:
    if not isinstance(blob, bytes):
        raise TypeError("boxes or scores are not stored as bytes")
    return np.frombuffer(blob, dtype="<f4").astype(np.float32)
