"""Commands whose standard streams, or whose current folder, the caller has taken away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(folder: Path, *closed: int) -> subprocess.CompletedProcess[str]:
    def close() -> None:
        for handle in closed:
            os.close(handle)

    return subprocess.run(
        [sys.executable, "-m", "frcnn_cli", "config", "show"],
        cwd=folder,
        capture_output=True,
        text=True,
        preexec_fn=close,
        timeout=120,
        check=False,
    )


def test_results_that_cannot_be_printed_are_an_error(tmp_path: Path) -> None:
    ended = run(tmp_path, 1)
    assert ended.returncode == 1
    assert ended.stderr == "Error: standard output: is closed.\n"


def test_messages_that_cannot_be_printed_are_none(tmp_path: Path) -> None:
    ended = run(tmp_path, 0, 2)
    assert ended.returncode == 0
    assert "backbone" in ended.stdout


def test_a_full_disk_is_an_error_of_help_texts_too() -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "frcnn_cli", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    assert (ended.returncode, ended.stderr) == (1, "Error: No space left on device.\n")


@pytest.mark.parametrize("command", ["runs", "train"])
def test_a_deleted_current_folder_is_named(tmp_path: Path, command: str) -> None:
    (tmp_path / "gone").mkdir()
    script = f"cd gone && rmdir ../gone && exec {sys.executable} -m frcnn_cli {command}"
    ended = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 1
    assert "The current folder has been deleted" in ended.stderr
    assert "Traceback" not in ended.stderr
