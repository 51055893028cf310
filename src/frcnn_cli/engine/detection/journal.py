"""A journal of finished images, to resume an interrupted run.

JSON lines: the first one holds everything that the results depend on, each of the others one
image. An incomplete last line, left by a killed run, is ignored.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Generic, Self, TypeVar

import numpy as np
import orjson

from frcnn_cli.engine.distributed.team import Team
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.reporter import Reporter
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.files import check_no_link
from frcnn_proposals.locking import OnWait, open_locked, remove_unless_locked
from frcnn_proposals.wording import counted

Value = TypeVar("Value")
# A killed process loses no written line; a power cut loses at most those of this period.
_SECONDS_BETWEEN_SYNCS = 1.0


class ImageJournal(ABC, Generic[Value]):
    """Results by image, in a file that each finished image is appended to.

    content: what the results are, such as `detections`. identity: JSON values that the results
    depend on: the model, the settings, the source of the proposals. on_wait: called before waiting
    for another process that writes the journal; None does not wait. Raises InputError if the file
    has another identity, is not a journal of this content, cannot be written, or is in use and
    on_wait is None.
    """

    content: ClassVar[str]

    def __init__(
        self, path: Path, identity: Mapping[str, Any], on_wait: OnWait | None = None
    ) -> None:
        self.path = path
        self._format = f"frcnn {self.content}, unfinished, 1"
        self._known: dict[str, tuple[str, Value]] = {}
        self._synced = time.monotonic()
        self._file = _open(path, on_wait)
        try:
            self._read(orjson.loads(orjson.dumps(identity)))
        except BaseException:
            self._close_file()
            raise

    @abstractmethod
    def to_json(self, value: Value) -> Mapping[str, Any]:
        """The fields of an image's line; `from_json` reads them back."""

    @abstractmethod
    def from_json(self, fields: Mapping[str, Any]) -> Value:
        """The result in the fields of a line."""

    def __len__(self) -> int:
        return len(self._known)

    def known(self, image_id: str, digest: str) -> Value | None:
        """The stored result of the image, or None; also None if its file has another digest."""
        stored = self._known.get(image_id)
        return stored[1] if stored is not None and stored[0] == digest else None

    def add(self, image_id: str, digest: str, value: Value) -> None:
        """Store the result of an image, with the digest of its file."""
        self._write({"image_id": image_id, "digest": digest, **self.to_json(value)})
        self._known[image_id] = (digest, value)

    def sync(self) -> None:
        """Write the lines to the disk, so that they survive a power failure."""
        os.fsync(self._file.fileno())

    def remove(self) -> None:
        """Remove the file, once the results are written elsewhere.

        A process that waited for it keeps it, and removes it at its own end.
        """
        self._close_file()
        remove_unless_locked(self.path)

    def close(self) -> None:
        """Close the file and keep it for the next run; remove it if it has no images."""
        if not self._file.closed:
            if not self._known:
                self.path.unlink(missing_ok=True)
            self._close_file()

    def _close_file(self) -> None:
        """Close the file. Nothing is lost: every line was flushed, or its error was reported.

        Closing writes a line that did not fit once more; that error names no file.
        """
        with suppress(OSError):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, identity: dict[str, Any]) -> None:
        """Read the lines of an earlier run, or start a new file."""
        content = self._file.read()
        start = orjson.dumps({"format": self._format})[:-1]  # every journal begins with it
        if not content.startswith(start[: len(content)]):
            raise self._not_a_journal()
        lines = content.split(b"\n")
        complete = sum(len(line) + 1 for line in lines[:-1])  # bytes of complete lines
        if len(lines) > 1:
            self._check_head(lines[0], identity)
            try:
                self._known = dict(self._entry(line) for line in lines[1:-1])
            except (ValueError, KeyError, TypeError, OverflowError) as error:
                raise InputError(
                    f"{self.path}: the file is damaged ({reason(error)}). Remove it."
                ) from error
        self._file.seek(complete)
        self._file.truncate()
        if complete == 0:
            self._write({"format": self._format, "identity": identity})

    def _entry(self, line: bytes) -> tuple[str, tuple[str, Value]]:
        fields = orjson.loads(line)
        return fields["image_id"], (fields["digest"], self.from_json(fields))

    def _check_head(self, line: bytes, identity: dict[str, Any]) -> None:
        try:
            head = orjson.loads(line)
        except ValueError:
            head = None
        if not isinstance(head, dict) or head.get("format") != self._format:
            raise self._not_a_journal()
        stored = head.get("identity")
        if not isinstance(stored, dict):
            stored = {}
        differing = [name for name in identity if stored.get(name) != identity[name]]
        if differing:
            raise InputError(
                f"{self.path}: an unfinished run differs in its {' and '.join(differing)}.\n"
                "Resume that run with its own command, remove the file, or write to another one."
            )

    def _not_a_journal(self) -> InputError:
        return InputError(
            f"{self.path}: is not a journal of {self.content}. Move it, or write to another file."
        )

    def _write(self, entry: Mapping[str, Any]) -> None:
        try:
            self._file.write(orjson.dumps(entry, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")
            self._file.flush()
            if time.monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
                self.sync()
                self._synced = time.monotonic()
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror}).") from error


class Journal(ImageJournal[Detections]):
    """Detections by image."""

    content = "detections"

    def to_json(self, value: Detections) -> dict[str, Any]:
        return {name: getattr(value, name) for name in ("boxes", "scores", "labels")}

    def from_json(self, fields: Mapping[str, Any]) -> Detections:
        return Detections(
            np.array(fields["boxes"], np.float32).reshape(-1, 4),
            np.array(fields["scores"], np.float32),
            np.array(fields["labels"], np.int64),
        )


@contextmanager
def resumed(journal: ImageJournal[Any] | None, reporter: Reporter) -> Iterator[None]:
    """Open a journal for work; report its images, and how to resume after Ctrl-C."""
    if journal is None:
        yield
        return
    with journal:
        if len(journal):
            images_are = counted(len(journal), "image is", "images are")
            reporter.note(f"Resuming from {journal.path}: {images_are} done.")
        try:
            yield
        except KeyboardInterrupt:
            reporter.note("Finished images are saved: run the same command to resume.")
            raise


def waits_for_journal(reporter: Reporter, team: Team) -> OnWait | None:
    """A callback that reports the wait for another process that writes the same journal.

    None in a team: two teams could wait for each other, each with a part of the journals.
    """
    if team.world > 1:
        return None
    return lambda: reporter.note("Waiting for another process that works on these images.")


def _open(path: Path, on_wait: OnWait | None) -> BinaryIO:
    """Open or create the file, locked for this process."""
    check_no_link(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open_locked(path, on_wait)
    except BlockingIOError as error:
        raise InputError(f"{path}: in use by another run. Wait until it ends.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}).") from error
