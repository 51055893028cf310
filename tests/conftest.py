"""Fixtures that tests of all floors share."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

# A shell's background job ignores Ctrl-C, and a job of `nohup` a closed terminal. So would every
# child that tests stop this way. A handled signal is back at its default in children.
signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

_connect = socket.socket.connect


def _connect_nearby(self: socket.socket, address: Any) -> None:
    """Allow local connections only: no test may depend on the network."""
    if self.family in (socket.AF_INET, socket.AF_INET6):
        assert address[0] in ("localhost", "127.0.0.1", "::1"), f"a connection to {address}"
    _connect(self, address)


socket.socket.connect = _connect_nearby  # type: ignore[method-assign]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests, and the children that they start, leave the user's cache as it is."""
    os.environ["FRCNN_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images and files; tests that need it are skipped if it is missing."""
    folder = Path(os.environ.get("FRCNN_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; FRCNN_SHARED_DATA names another folder")
    return folder
