"""Several processes that work as one, started by torchrun; one process alone needs no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Team:
    """Which of how many processes this is. Alone, every method does nothing or is trivial.

    rank: 0..world - 1. local_rank: among those of this machine. restarts: how often torchrun
    has begun again after a process died.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    restarts: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    @property
    def label(self) -> str:
        """Of this process, for a file of its own: `.2of4`; empty alone."""
        return "" if self.world == 1 else f".{self.rank + 1}of{self.world}"

    def part(self, items: Sequence[Item]) -> tuple[Item, ...]:
        """This process's share of `items`: together the shares are all of them, each once."""
        return tuple(items[self.rank :: self.world])

    def gather(self, value: Item) -> list[Item]:
        """Every process's value, by rank, in every process."""
        if self.world == 1:
            return [value]
        import torch.distributed as dist

        values: list[Item] = [value] * self.world
        dist.all_gather_object(values, value)
        return values

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """The block, by the first process; then by the others, who find what it left."""
        if self.world == 1:
            yield
            return
        import torch.distributed as dist

        if not self.is_first:
            dist.barrier()
        yield
        if self.is_first:
            dist.barrier()


ALONE = Team()


def team_from_environment() -> Team:
    """What torchrun says of this process; ALONE where it was started by hand."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RESTART_COUNT")
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return ALONE
    rank, world, local_rank, restarts = (int(os.environ.get(name, 0)) for name in names)
    return Team(rank, max(1, world), local_rank, restarts)
