"""Where the time of a detection goes, by stage of the network (paper, figure 2)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

STAGES = ("proposals", "conv", "roi_pooling", "fc6", "fc7", "rest")


class StageClock:
    """Adds up the seconds that a network spends in each stage, however often it is entered."""

    def __init__(self, device: torch.device | None = None) -> None:
        self.device = device
        self.seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)

    def now(self) -> float:
        """Seconds from some start, all work on the device done."""
        if self.device is not None and self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens within as this stage."""
        start = self.now()
        yield
        self.seconds[name] += self.now() - start

    @contextmanager
    def watching(self, network: Any) -> Iterator[None]:
        """Within it, the stages of `network` are counted; what they leave of it is the rest.

        network: with features, fc6 and fc7, modules, and the method pool, as FastRCNN has them.
        """
        pool = network.pool
        parts: dict[str, nn.Module] = {
            "conv": network.features,
            "fc6": network.fc6,
            "fc7": network.fc7,
        }
        handles = [handle for name, part in parts.items() for handle in self._hooks(name, part)]
        network.pool = self._timed("roi_pooling", pool)
        start, before = self.now(), sum(self.seconds.values())
        try:
            yield
        finally:
            inside = sum(self.seconds.values()) - before
            self.seconds["rest"] += max(0.0, self.now() - start - inside)
            del network.pool  # the class's own again
            for handle in handles:
                handle.remove()

    def _timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*inputs: Any) -> Any:
            with self.stage(name):
                return function(*inputs)

        return timed

    def _hooks(self, stage: str, part: nn.Module) -> tuple[Any, Any]:
        started = 0.0

        def enter(*_: Any) -> None:
            nonlocal started
            started = self.now()

        def leave(*_: Any) -> None:
            self.seconds[stage] += self.now() - started

        return part.register_forward_pre_hook(enter), part.register_forward_hook(leave)
