"""The network of a detector, loaded by the first thread that needs it, and its digest."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

from frcnn_cli.api.network import ReadyNetwork, Setting
from frcnn_proposals.errors import InputError
from frcnn_proposals.reading import open_file


class LazyNetwork:
    """A network that is loaded once, when it is first needed.

    path: its file. digest: of the file when the detector was pickled; None accepts any file.
    """

    def __init__(
        self, load: Callable[[], ReadyNetwork], path: Path, digest: str | None = None
    ) -> None:
        self._load, self._path, self._digest = load, path, digest
        self._lock = threading.Lock()
        self._ready: ReadyNetwork | None = None
        self._version: tuple[int, int] | None = None

    def get(self) -> ReadyNetwork:
        """The network. Other threads wait while one loads it. Raises like `load`.

        Raises InputError if the file is not the one that was pickled.
        """
        with self._lock:
            if self._ready is None:
                if self._digest is not None and _digest_of(self._path) != self._digest:
                    raise self._changed()
                self._version = _version(self._path)
                self._ready = self._load()
            return self._ready

    def with_setting(self, setting: Setting) -> LazyNetwork:
        """The network with the same weights and other settings."""
        ready = self.get().with_setting(setting)
        other = LazyNetwork(lambda: ready, self._path, self._digest)
        other._ready, other._version = ready, self._version
        return other

    def digest(self) -> str:
        """SHA-256 of the file that another process has to load, too.

        Raises InputError if the file has changed since it was loaded: the weights are not pickled.
        """
        if self._digest is None:
            if self._version not in (None, _version(self._path)):
                raise self._changed()
            self._digest = _digest_of(self._path)
        return self._digest

    def _changed(self) -> InputError:
        return InputError(
            f"{self._path}: has changed since this detector was created.\n"
            "Create it again with Detector.load."
        )


def _digest_of(path: Path) -> str:
    """SHA-256 of a file. Raises InputError, which names it."""
    try:
        with open_file(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error


def _version(path: Path) -> tuple[int, int]:
    """The time of the last change and the size, which change with the content of the file."""
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size


def load_network(path: Path, device: str, setting: Setting) -> ReadyNetwork:
    """The network in a model file, as `frcnn detect` loads it."""
    from frcnn_cli.engine.detection.prepare import prepare_model
    from frcnn_cli.engine.distributed.devices import find_device
    from frcnn_cli.engine.models.loaded import open_model
    from frcnn_cli.engine.proposals.source_calls import SourceCalls

    loaded = open_model(path, path.parent, find_device(device), setting.options.precision)
    detector = setting.detector(loaded)
    prepared = prepare_model(loaded.model, loaded.precision)
    return ReadyNetwork(detector, prepared, SourceCalls(detector.source))
