"""The command line in a child process, slowed down, so that a test can stop it before it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

_PROGRAM = """
import time
from frcnn_cli.cli import main
from {module} import {journal}

add = {journal}.add

def add_slowly(*entry):
    add(*entry)
    time.sleep(0.2)

{journal}.add = add_slowly
main()
"""


def start_slowly(module: str, journal: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a command that adds at most five images per second to its journal, a class of `module`.

    It has as many threads as this process, so that results are identical.
    """
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM.format(module=module, journal=journal),
         *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )  # fmt: skip


def stop_after(
    child: subprocess.Popen[str], lines: int, find: Callable[[], Path | None], how: signal.Signals
) -> str:
    """Stop the child once its journal has this many lines (the first one is the header)."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        path = find()
        if path is not None and path.exists() and path.read_bytes().count(b"\n") >= lines:
            os.killpg(child.pid, how)
            return child.communicate(timeout=60)[0]
        assert child.poll() is None, child.communicate()[0]
        time.sleep(0.002)
    raise AssertionError("the journal did not grow")
