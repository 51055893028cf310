"""Measure time and memory; base class of benchmark results.

Contestants are timed interleaved in one run, so that other load slows all of them equally.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch

from frcnn_proposals.errors import InputError

Contestant = Callable[[], object]


@dataclass(frozen=True)
class BenchmarkResult:
    """Measured values as fields, and values derived from them as properties."""

    def to_json(self) -> dict[str, Any]:
        """Fields and properties, as JSON values."""
        derived = [name for name, value in vars(type(self)).items() if isinstance(value, property)]
        return {**asdict(self), **{name: getattr(self, name) for name in derived}}


def interleaved_medians(
    contestants: Mapping[str, Contestant], rounds: int, runs: int = 1
) -> dict[str, float]:
    """Median seconds per contestant, over `rounds` rounds of `runs` runs each.

    Each contestant first runs once untimed.
    """
    for contestant in contestants.values():
        _seconds(contestant)
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            times[name] += [_seconds(contestant) for _ in range(runs)]
    return {name: median(seconds) for name, seconds in times.items()}


def _seconds(contestant: Contestant) -> float:
    start = time.perf_counter()
    result = contestant()  # freed after timing, since freeing is not part of the work
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    elapsed = time.perf_counter() - start
    del result
    return elapsed


_PROCESS = Path("/proc/self")


def peak_growth(prepare: Callable[..., Callable[[], object]], arguments: tuple[Any, ...]) -> int:
    """Growth in bytes of the peak resident memory while `prepare(*arguments)()` runs.

    Both calls run in a child process with the same number of threads. Memory allocated by
    `prepare` is not counted. Raises InputError on systems without Linux's /proc.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as child:
        return child.submit(_measure, torch.get_num_threads(), prepare, arguments).result()


def _measure(
    threads: int, prepare: Callable[..., Callable[[], object]], arguments: tuple[Any, ...]
) -> int:
    torch.set_num_threads(threads)
    work = prepare(*arguments)
    try:
        (_PROCESS / "clear_refs").write_text("5")  # resets the peak
        before = _status("VmRSS")
        work()
        return _status("VmHWM") - before
    except OSError as error:
        raise InputError(f"Memory use cannot be measured on this system ({error}).") from error


def _status(name: str) -> int:
    """A value of /proc/self/status, in bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", (_PROCESS / "status").read_text(), re.MULTILINE)
    if found is None:
        raise OSError(f"{name} is not in {_PROCESS}/status")
    return int(found[1]) * 1024
