"""`frcnn detect` in a video, interrupted while it writes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def interrupt(out: Path, *arguments: str, written: int) -> str:
    """The output of `frcnn detect` into `out`, interrupted when its video has more bytes."""
    command = [sys.executable, "-m", "frcnn_cli.cli", "detect", *arguments, "--out", str(out)]
    child = subprocess.Popen(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not any(path.stat().st_size > written for path in out.glob(".*.partial.mp4")):
        assert time.monotonic() < deadline
        assert child.poll() is None, child.communicate()[0]
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    output, _ = child.communicate(timeout=120)
    assert child.returncode == 130, output
    return output
