"""How much memory a piece of work needs, in a process where nothing else has happened."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from frcnn_proposals.errors import InputError

_PROCESS = Path("/proc/self")


def peak_growth(prepare: Callable[..., Callable[[], object]], arguments: tuple[Any, ...]) -> int:
    """Bytes by which the peak of resident memory rises while `prepare(*arguments)()` runs.

    Both run in a child process with as many threads as here; what `prepare` holds is not
    counted. Raises InputError on a system without Linux's /proc.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as child:
        return child.submit(_measure, torch.get_num_threads(), prepare, arguments).result()


def _measure(
    threads: int, prepare: Callable[..., Callable[[], object]], arguments: tuple[Any, ...]
) -> int:
    torch.set_num_threads(threads)
    work = prepare(*arguments)
    try:
        (_PROCESS / "clear_refs").write_text("5")  # the peak so far is forgotten
        before = _status("VmRSS")
        work()
        return _status("VmHWM") - before
    except OSError as error:
        raise InputError(f"Memory cannot be measured on this system ({error}).") from error


def _status(name: str) -> int:
    """A value of /proc/self/status, in bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", (_PROCESS / "status").read_text(), re.MULTILINE)
    if found is None:
        raise OSError(f"{name} is not in {_PROCESS}/status")
    return int(found[1]) * 1024
