"""Results of work on all images of a dataset, remembered in the cache until its data changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frcnn_cli import __version__
from frcnn_cli.engine.proposals.cache import cache_folder
from frcnn_proposals.errors import InputError
from frcnn_proposals.files import write_whole


@dataclass(frozen=True)
class Remembered:
    """One result: its kind, and the digest of all that it depends on."""

    kind: str
    digest: str

    @classmethod
    def of(cls, kind: str, depends_on: Iterable[object]) -> Remembered:
        """The result of `kind` for these values, and for this version of the toolkit."""
        digest = hashlib.sha256(__version__.encode())
        for value in depends_on:
            digest.update(b"\0" + str(value).encode(errors="surrogatepass"))
        return cls(kind, digest.hexdigest())

    def read(self) -> Any:
        """The JSON value that was written; None if there is none, or it cannot be read."""
        try:
            return json.loads(self._path().read_bytes())
        except (OSError, ValueError, RecursionError, InputError):
            return None

    def write(self, value: Any) -> None:
        """Remember a JSON value. A cache that cannot be written remembers nothing."""
        with suppress(OSError, InputError):
            write_whole(self._path(), json.dumps(value).encode())

    def _path(self) -> Path:
        return cache_folder() / "remembered" / f"{self.kind}-{self.digest[:32]}.json"
