"""A limit on processes and threads (`ulimit -u`) ends in a message that names it."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from called import frcnn
from PIL import Image

from frcnn_proposals.errors import ran_out_of_processes

USER = "54321"  # has no processes, so that the limit counts those of the command only
MAY_READ = "+dac_override,+dac_read_search"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in "abc":
        Image.new("RGB", (60, 50)).save(folder / f"{name}.jpg")
    return folder


def no_process(*_: object) -> None:
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def no_thread(*_: object) -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("failure", [no_process, no_thread])
def test_a_worker_that_cannot_start(
    failure: object, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = type(multiprocessing.get_context("spawn").Process())
    monkeypatch.setattr(process, "start", failure)
    options = ("--source", "dense", "--workers", 2, "--out", tmp_path / "x.proposals")
    result = frcnn("propose", images, *options)
    assert result.exit_code == 1
    assert result.output.startswith("Error: The system cannot start more processes or threads")
    assert "ulimit -u" in result.output


def test_a_pipe_that_is_full_is_no_lack_of_processes() -> None:
    full = BlockingIOError(errno.EAGAIN, "write could not complete without blocking")
    assert not ran_out_of_processes(full)
    assert not ran_out_of_processes(FileNotFoundError(errno.ENOENT, "none", "x"))


@pytest.mark.parametrize("limit", [6, 3])
def test_a_real_limit(limit: int, images: Path, tmp_path: Path) -> None:
    if shutil.which("setpriv") is None or os.geteuid() != 0:
        pytest.skip("changing the user requires root and setpriv")
    tmp_path.chmod(0o777)
    command = (
        f"ulimit -u {limit}; exec setpriv --reuid={USER} --regid={USER} --clear-groups "
        f"--inh-caps={MAY_READ} --ambient-caps={MAY_READ} {sys.executable} -m frcnn_cli propose "
        f"{images} --source dense --workers 4 --out {tmp_path / 'x.proposals'}"
    )
    # Measuring coverage in the child would print warnings of its own.
    environment = {n: value for n, value in os.environ.items() if not n.startswith("COV")}
    environment["FRCNN_CACHE"] = str(tmp_path / "cache")
    result = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, env=environment
    )
    if "setpriv" in result.stderr:
        pytest.skip(result.stderr)
    assert result.returncode == 1, result.stderr
    # A worker that is out of threads prints OpenBLAS's own lines when it imports NumPy.
    lines = [line for line in result.stderr.splitlines() if not line.startswith("OpenBLAS")]
    assert lines[0].startswith("Error: The system cannot start more processes or threads")
    assert len(lines) == 2
