"""Processes started by torchrun that work together; a single process does not import torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Team:
    """The rank of this process among `world` processes. For one process, methods are trivial.

    rank: 0..world - 1. local_rank: rank among the `local_world` processes of this machine.
    restarts: how often torchrun restarted the processes after one died.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    restarts: int = 0
    local_world: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the first process, which writes and prints."""
        return self.rank == 0

    def part(
        self, items: Sequence[Item], is_done: Callable[[Item], bool] = lambda item: False
    ) -> tuple[Item, ...]:
        """Return this process's share of `items`; the shares of all processes are disjoint.

        is_done: whether an earlier run finished the item, with the same answer in every process.
        The others, which take time, are divided evenly.
        """
        if self.world == 1:
            return tuple(items)
        return tuple(sorted(items, key=is_done)[self.rank :: self.world])

    def gather(self, value: Item) -> list[Item]:
        """Return the values of all processes, by rank, in every process."""
        if self.world == 1:
            return [value]
        import torch.distributed as dist

        values: list[Item] = [value] * self.world
        dist.all_gather_object(values, value)
        return values

    def of_first(self, value: Item) -> Item:
        """Return the value of the first process, in every process."""
        if self.world == 1:
            return value
        import torch.distributed as dist

        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Run the block in the first process; then in the others, which find its results."""
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
    """Read the team from torchrun's environment variables; ALONE without torchrun."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RESTART_COUNT")
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return ALONE
    rank, world, local_rank, restarts = (int(os.environ.get(name, 0)) for name in names)
    local_world = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return Team(rank, max(1, world), local_rank, restarts, max(1, local_world))
