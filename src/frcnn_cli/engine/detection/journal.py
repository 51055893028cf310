"""A journal of finished detections, from which an interrupted run is resumed.

JSON lines: first what the detections depend on, then one line per image. Where a killed run left
an incomplete last line, it is ignored.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson

from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.reporter import Reporter
from frcnn_proposals.errors import InputError, reason

_FORMAT = "frcnn detections, unfinished, 1"
# A killed process loses no line that was written; a power cut at most those of this long.
_SECONDS_BETWEEN_SYNCS = 1.0


class Journal:
    """Detections by image, in a file that grows as they are made.

    identity: JSON values on which the detections depend: the model, the settings, the source
    of the proposals. Raises InputError where the file was begun with another identity, is no
    journal, is being written by another run, or cannot be written.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        self._known: dict[str, tuple[str, Detections]] = {}
        self._synced = time.monotonic()
        self._file = _open(path)
        try:
            self._read(orjson.loads(orjson.dumps(identity)))
        except BaseException:
            self._file.close()
            raise

    def __len__(self) -> int:
        return len(self._known)

    def known(self, image_id: str, digest: str) -> Detections | None:
        """What was found in the image, if its file had that digest then."""
        then, detections = self._known.get(image_id, ("", None))
        return detections if then == digest else None

    def add(self, image_id: str, digest: str, detections: Detections) -> None:
        """Keep what was found in an image whose file has that digest."""
        found = {name: getattr(detections, name) for name in ("boxes", "scores", "labels")}
        self._write({"image_id": image_id, "digest": digest, **found})
        self._known[image_id] = (digest, detections)

    def remove(self) -> None:
        """Remove the file: the results are where they belong."""
        self.path.unlink(missing_ok=True)
        self._file.close()

    def close(self) -> None:
        """Leave the file for the next run; an empty one is removed."""
        if not self._file.closed:
            if not self._known:
                self.path.unlink(missing_ok=True)
            # Every line was flushed, or a full disk was reported.
            with suppress(OSError):
                self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, identity: dict[str, Any]) -> None:
        """Take over the lines of an earlier run, or begin a file."""
        lines = self._file.read().split(b"\n")
        whole = sum(len(line) + 1 for line in lines[:-1])
        if len(lines) > 1:
            self._check_head(lines[0], identity)
            try:
                self._known = dict(_entry(line) for line in lines[1:-1])
            except (ValueError, KeyError, TypeError, OverflowError) as error:
                damage = reason(error)
                raise InputError(f"{self.path}: is damaged ({damage}). Remove it.") from error
        self._file.seek(whole)
        self._file.truncate()
        if whole == 0:
            self._write({"format": _FORMAT, "identity": identity})

    def _check_head(self, line: bytes, identity: dict[str, Any]) -> None:
        try:
            head = orjson.loads(line)
        except ValueError:
            head = None
        if not isinstance(head, dict) or head.get("format") != _FORMAT:
            raise InputError(f"{self.path}: is in the way and is no journal of detections.")
        before = head.get("identity")
        known = before if isinstance(before, dict) else {}
        other = [name for name in identity if known.get(name) != identity[name]]
        if other:
            raise InputError(
                f"{self.path}: is of an unfinished run that differs in its {' and '.join(other)}."
                "\nResume that run by its own command, remove the file, or write to another one."
            )

    def _write(self, entry: Mapping[str, Any]) -> None:
        try:
            self._file.write(orjson.dumps(entry, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
            self._file.flush()
            if time.monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror}).") from error


@contextmanager
def resumed(journal: Journal | None, reporter: Reporter) -> Iterator[None]:
    """Open a journal while detecting; report its images, and on Ctrl-C that they are kept."""
    if journal is None:
        yield
        return
    with journal:
        if len(journal):
            reporter.note(f"Resuming {journal.path}: {len(journal)} images are done.")
        try:
            yield
        except KeyboardInterrupt:
            reporter.note("Interrupted. Finished images are kept: run the same command to resume.")
            raise


def _open(path: Path) -> BinaryIO:
    """The file, made where it is missing, for this process alone."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}).") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise InputError(f"{path}: another run is writing this. Wait for it.") from error
    return os.fdopen(handle, "r+b")


def _entry(line: bytes) -> tuple[str, tuple[str, Detections]]:
    values = orjson.loads(line)
    detections = Detections(
        np.array(values["boxes"], np.float32).reshape(-1, 4),
        np.array(values["scores"], np.float32),
        np.array(values["labels"], np.int64),
    )
    return values["image_id"], (values["digest"], detections)
