"""A journal of finished detections, to resume an interrupted run.

JSON lines: the first one holds everything that the detections depend on, each of the others one
image. An incomplete last line, left by a killed run, is ignored.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson

from frcnn_cli.engine.distributed.team import Team
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.reporter import Reporter
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.files import check_no_link
from frcnn_proposals.locking import OnWait, open_locked, remove_unless_locked
from frcnn_proposals.wording import counted

_FORMAT = "frcnn detections, unfinished, 1"
_START = orjson.dumps({"format": _FORMAT})[:-1]  # every journal begins with it
# A killed process loses no written line; a power cut loses at most those of this period.
_SECONDS_BETWEEN_SYNCS = 1.0


class Journal:
    """Detections by image, in a file that each finished image is appended to.

    identity: JSON values that the detections depend on: the model, the settings, the source of
    the proposals. on_wait: called before waiting for another process that writes the journal;
    None does not wait. Raises InputError if the file has another identity, is not a journal,
    cannot be written, or is in use and on_wait is None.
    """

    def __init__(
        self, path: Path, identity: Mapping[str, Any], on_wait: OnWait | None = None
    ) -> None:
        self.path = path
        self._known: dict[str, tuple[str, Detections]] = {}
        self._synced = time.monotonic()
        self._file = _open(path, on_wait)
        try:
            self._read(orjson.loads(orjson.dumps(identity)))
        except BaseException:
            self._close_file()
            raise

    def __len__(self) -> int:
        return len(self._known)

    def known(self, image_id: str, digest: str) -> Detections | None:
        """The stored detections of the image, or None; also None if its file has another digest."""
        stored_digest, detections = self._known.get(image_id, ("", None))
        return detections if stored_digest == digest else None

    def add(self, image_id: str, digest: str, detections: Detections) -> None:
        """Store the detections of an image, with the digest of its file."""
        fields = {name: getattr(detections, name) for name in ("boxes", "scores", "labels")}
        self._write({"image_id": image_id, "digest": digest, **fields})
        self._known[image_id] = (digest, detections)

    def remove(self) -> None:
        """Remove the file, once the results are written elsewhere.

        A process that waited for it keeps it, and removes it at its own end.
        """
        self._close_file()
        remove_unless_locked(self.path)

    def close(self) -> None:
        """Close the file and keep it for the next run; remove it if it has no detections."""
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

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, identity: dict[str, Any]) -> None:
        """Read the lines of an earlier run, or start a new file."""
        content = self._file.read()
        if not content.startswith(_START[: len(content)]):
            raise self._not_a_journal()
        lines = content.split(b"\n")
        complete = sum(len(line) + 1 for line in lines[:-1])  # bytes of complete lines
        if len(lines) > 1:
            self._check_head(lines[0], identity)
            try:
                self._known = dict(_entry(line) for line in lines[1:-1])
            except (ValueError, KeyError, TypeError, OverflowError) as error:
                raise InputError(
                    f"{self.path}: the file is damaged ({reason(error)}). Remove it."
                ) from error
        self._file.seek(complete)
        self._file.truncate()
        if complete == 0:
            self._write({"format": _FORMAT, "identity": identity})

    def _check_head(self, line: bytes, identity: dict[str, Any]) -> None:
        try:
            head = orjson.loads(line)
        except ValueError:
            head = None
        if not isinstance(head, dict) or head.get("format") != _FORMAT:
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
            f"{self.path}: is not a journal of detections. Move it, or write to another file."
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
    """Open a journal for detection; report its images, and how to resume after Ctrl-C."""
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
            reporter.note("Interrupted. Finished images are saved: run the same command to resume.")
            raise


def waits_for_journal(reporter: Reporter, team: Team) -> OnWait | None:
    """A callback that reports the wait for another process that writes the same journal.

    None in a team: two teams could wait for each other, each with a part of the journals.
    """
    if team.world > 1:
        return None
    return lambda: reporter.note("Waiting for another process that detects in these images.")


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


def _entry(line: bytes) -> tuple[str, tuple[str, Detections]]:
    values = orjson.loads(line)
    detections = Detections(
        np.array(values["boxes"], np.float32).reshape(-1, 4),
        np.array(values["scores"], np.float32),
        np.array(values["labels"], np.int64),
    )
    return values["image_id"], (values["digest"], detections)
