"""Locks that other processes hold, wait for, and find removed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from frcnn_proposals.locking import open_locked, open_new, remove_unless_locked

HOLDER = """
import sys
from pathlib import Path
from frcnn_proposals.locking import open_locked, remove_unless_locked

path = Path(sys.argv[1])
with open_locked(path) as file:
    file.write(b"first")
    file.flush()
    print("holds", flush=True)
    sys.stdin.readline()
    if sys.argv[2] == "remove":
        path.unlink()
"""


def hold(path: Path, then: str) -> subprocess.Popen[str]:
    """Start a process that holds the lock until it reads a line."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), then],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "holds\n"
    return child


@pytest.mark.parametrize(("then", "found"), [("keep", b"first"), ("remove", b"")])
def test_a_waiting_process_gets_the_file_that_has_the_name(
    tmp_path: Path, then: str, found: bytes
) -> None:
    path = tmp_path / "file"
    child = hold(path, then)
    with pytest.raises(BlockingIOError):
        open_locked(path)
    waits: list[float] = []

    def on_wait() -> None:
        waits.append(time.monotonic())
        child.communicate("end\n", timeout=60)

    with open_locked(path, on_wait) as file:
        assert file.read() == found
        assert path.exists()
    assert len(waits) == 1


def test_a_file_that_another_process_holds_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    child = hold(path, "keep")
    remove_unless_locked(path)
    assert path.exists()
    child.communicate("end\n", timeout=60)
    remove_unless_locked(path)
    assert not path.exists()
    remove_unless_locked(path)


def test_a_new_file_replaces_no_locked_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    child = hold(path, "keep")
    assert open_new(path) is None
    assert path.read_bytes() == b"first"
    child.communicate("end\n", timeout=60)
    file = open_new(path)
    assert file is not None
    with file:
        assert path.read_bytes() == b""
        assert open_new(path) is None


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic"):
        open_locked(tmp_path / "link")
    assert not (tmp_path / "target").exists()
