"""A journal of finished images, to resume an interrupted run.

JSON lines: the first one holds everything that the results depend on, and each of the others
holds one image. An incomplete last line, left by a killed run, is ignored.

Each process of a team appends to its own file, and reads those of all processes at the start: any
number of processes can resume the work of any other number.
"""

from __future__ import annotations

import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Generic, Self, TypeVar

import numpy as np
import orjson

from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.reporter import Reporter
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.files import check_no_link
from frcnn_proposals.locking import OnWait, open_locked, remove_unless_locked
from frcnn_proposals.wording import counted

Value = TypeVar("Value")
# A killed process loses no written line; a power cut loses at most those of this period.
_SECONDS_BETWEEN_SYNCS = 1.0
_SUFFIX = ".partial"


class ImageJournal(ABC, Generic[Value]):
    """Results by image, in a file that each finished image is appended to.

    content: what the results are, such as `detections`. path: the file of the first process, whose
    lock keeps other runs away; those of the others are next to it. identity: JSON values that the
    results depend on: the model, the settings, the source of the proposals. on_wait: called before
    waiting for another run that writes the journal; None does not wait. Every process of the team
    creates the journal. Raises InputError if a file has another identity, is not a journal of this
    content, cannot be written, or is in use and on_wait is None.
    """

    content: ClassVar[str]

    def __init__(
        self,
        path: Path,
        identity: Mapping[str, Any],
        on_wait: OnWait | None = None,
        team: Team = ALONE,
    ) -> None:
        self._first, self._team = path, team
        self.path = path if team.is_first else _file_of_rank(path, team.rank)
        self._format = f"frcnn {self.content}, unfinished, 1"
        self._known: dict[tuple[str, str], Value] = {}  # by image id and digest
        self._synced = time.monotonic()
        with team.first_alone():  # the others wait for the lock that it holds for all
            self._file = _open(self.path, on_wait)
        try:
            self._read_all(orjson.loads(orjson.dumps(identity)))
        except BaseException:
            if os.fstat(self._file.fileno()).st_size == 0:
                self.path.unlink(missing_ok=True)  # new; the file of another process is wrong
            self._close_file()
            raise

    @abstractmethod
    def to_json(self, value: Value) -> Mapping[str, Any]:
        """The fields of an image's line; `from_json` reads them back."""

    @abstractmethod
    def from_json(self, fields: Mapping[str, Any], path: Path) -> Value:
        """The result in the fields of a line of the journal at `path`."""

    def complete(
        self, path: Path, results: Sequence[tuple[tuple[str, str], Value]]
    ) -> Sequence[tuple[tuple[str, str], Value]]:
        """The results of the journal at `path` without those whose files are incomplete."""
        return results

    def files_of(self, path: Path) -> list[Path]:
        """The files of the journal at `path` that contain results, apart from itself."""
        return []

    def __len__(self) -> int:
        return len({image_id for image_id, _ in self._known})

    def known(self, image_id: str, digest: str) -> Value | None:
        """The stored result of the image, or None; also None if its file has another digest."""
        return self._known.get((image_id, digest))

    def finished(self) -> frozenset[str]:
        """The ids of the images that are stored, for dividing the others.

        It is what the first process knows: the same in every process, each of which must call this.
        """
        return self._team.of_first(frozenset(image_id for image_id, _ in self._known))

    def add(self, image_id: str, digest: str, value: Value) -> None:
        """Store the result of an image, with the digest of its file."""
        self._write({"image_id": image_id, "digest": digest, **self.to_json(value)})
        self._known[image_id, digest] = value
        self._is_empty = False

    def sync(self) -> None:
        """Write the lines to the disk, so that they survive a power failure."""
        os.fsync(self._file.fileno())

    def remove(self) -> None:
        """Remove the files of all processes, once the results of all are written elsewhere.

        The first process does it. A run that waited for it keeps them, and removes them at its own
        end.
        """
        self._close_file()
        with suppress(FileNotFoundError):  # their folder was removed
            files = [file for path in self._all() for file in (*self.files_of(path), path)]
            if files:
                remove_unless_locked(self._first, [file for file in files if file != self._first])

    def close(self) -> None:
        """Close the file and keep it for the next run; remove it if it has no images."""
        if not self._file.closed:
            if self._is_empty:
                for file in (*self.files_of(self.path), self.path):
                    file.unlink(missing_ok=True)
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

    def _all(self) -> list[Path]:
        """The existing files of all processes, of this run and of earlier ones."""
        name = re.escape(self._first.name.removesuffix(_SUFFIX))
        others = re.compile(rf"{name}\.rank\d+{re.escape(_SUFFIX)}")
        names = sorted(filter(others.fullmatch, os.listdir(self._first.parent)))
        paths = (self._first, *map(self._first.with_name, names))
        return [path for path in paths if path.is_file()]

    def _read_all(self, identity: dict[str, Any]) -> None:
        """Read the files of earlier runs, and start this process's own if it is new."""
        for path in self._all():
            if path != self.path:
                check_no_link(path)
                with suppress(FileNotFoundError):  # its process found nothing to keep in it
                    self._read(path, path.read_bytes(), identity)
        size, count = self._read(self.path, self._file.read(), identity)
        self._is_empty = count == 0
        self._file.seek(size)
        self._file.truncate()
        if size == 0:
            self._write({"format": self._format, "identity": identity})

    def _read(self, path: Path, content: bytes, identity: dict[str, Any]) -> tuple[int, int]:
        """Read the lines of a file. Returns the size of the complete ones, and how many images."""
        start = orjson.dumps({"format": self._format})[:-1]  # every journal begins with it
        if not content.startswith(start[: len(content)]):
            raise self._not_a_journal(path)
        head, *lines = content.split(b"\n")[:-1] or [b""]
        if head:
            self._check_head(path, head, identity)
        try:
            results = [self._result(path, line) for line in lines]
            self._known |= self.complete(path, results)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise InputError(
                f"{path}: the file is damaged ({reason(error)}). Remove it."
            ) from error
        return content.rfind(b"\n") + 1, len(results)

    def _result(self, path: Path, line: bytes) -> tuple[tuple[str, str], Value]:
        fields = orjson.loads(line)
        return (fields["image_id"], fields["digest"]), self.from_json(fields, path)

    def _check_head(self, path: Path, line: bytes, identity: dict[str, Any]) -> None:
        try:
            head = orjson.loads(line)
        except ValueError:
            head = None
        if not isinstance(head, dict) or head.get("format") != self._format:
            raise self._not_a_journal(path)
        stored = head.get("identity")
        if not isinstance(stored, dict):
            stored = {}
        differing = [name for name in identity if stored.get(name) != identity[name]]
        if differing:
            raise InputError(
                f"{path}: an unfinished run differs in its {' and '.join(differing)}.\n"
                "Resume that run with its own command, remove the file, or write to another one."
            )

    def _not_a_journal(self, path: Path) -> InputError:
        return InputError(
            f"{path}: is not a journal of {self.content}. Move it, or write to another file."
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

    def from_json(self, fields: Mapping[str, Any], path: Path) -> Detections:
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


def waits_for_journal(reporter: Reporter) -> OnWait:
    """A callback that reports the wait for another process that writes the same journal."""
    return lambda: reporter.note("Waiting for another process that works on these images.")


def _file_of_rank(first: Path, rank: int) -> Path:
    return first.with_name(f"{first.name.removesuffix(_SUFFIX)}.rank{rank}{_SUFFIX}")


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
