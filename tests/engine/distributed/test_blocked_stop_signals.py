"""Processes that are started while stop signals are blocked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import signal
from multiprocessing import get_context
from frcnn_cli.engine.distributed.interrupt import stop_signals_blocked
from frcnn_cli.engine.distributed.signals import STOP_SIGNALS

def report(end):
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    end.send([number in blocked for number in STOP_SIGNALS])

if __name__ == "__main__":
    context = get_context("spawn")
    for _ in range(2):
        own, end = context.Pipe()
        with stop_signals_blocked():
            child = context.Process(target=report, args=(end,))
            child.start()
        print(own.recv())
        child.join()
    print([number in signal.pthread_sigmask(signal.SIG_BLOCK, ()) for number in STOP_SIGNALS])
"""


def test_the_first_process_ignores_them_too(tmp_path: Path) -> None:
    """The first one also starts multiprocessing's resource tracker, which unblocks signals."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [*["[True, True, True]"] * 2, "[False, False, False]"]
