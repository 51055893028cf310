"""How contestants are timed: in turn in one run, so that a busy machine is busy for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median

import torch

Contestant = Callable[[], object]
_BANDWIDTH_BYTES = 256 << 20  # far more than any cache holds


def time_in_turn(contestants: Mapping[str, Contestant], rounds: int) -> dict[str, float]:
    """Median seconds of each, over `rounds` rounds after one that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for done in range(rounds + 1):
        for name, contestant in contestants.items():
            start = time.perf_counter()
            result = contestant()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            elapsed = time.perf_counter() - start
            del result  # returning memory is not part of the work
            if done > 0:
                times[name].append(elapsed)
    return {name: median(seconds) for name, seconds in times.items()}


def memory_bandwidth(device: torch.device, rounds: int = 7) -> float:
    """Bytes a second that a large copy moves, reads and writes both counted; the best of rounds."""
    source = torch.zeros(_BANDWIDTH_BYTES, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        target.copy_(source)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return 2 * _BANDWIDTH_BYTES / best
