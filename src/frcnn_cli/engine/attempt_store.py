"""A store of keys and values for the processes that torchrun has started together.

torchrun's own store outlives them. When it begins again after a death, the addresses at which
the dead could be reached are still in it, and a process that looks before the new ones are
written would call there. How often torchrun has begun again is no name to tell attempts apart
by: one machine may count what another does not. So the first process makes up a name and tells
it to those that ask now.
"""

from __future__ import annotations

import time
from datetime import timedelta
from uuid import uuid4

from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

_PAUSE = 0.02  # seconds, between two looks into the store


def attempt_store(rank: int, world: int, patience: timedelta) -> Store:
    """The store of this attempt; returns once all `world` processes of it have asked.

    patience: how long any later look into the store may wait.
    """
    shared, _, _ = next(rendezvous("env://", rank, world))
    shared.set_timeout(patience)
    name = _answer_all(shared, world) if rank == 0 else _ask(shared, rank)
    return PrefixStore(name, shared)


def _answer_all(store: Store, world: int) -> str:
    name = uuid4().hex
    while store.add(f"{name}/here", 0) < world - 1:
        for rank in range(1, world):
            # It may still be the question of a dead process: the new one overwrites it.
            if store.check([f"question/{rank}"]):
                store.set(f"{store.get(f'question/{rank}').decode()}/answer", name)
        time.sleep(_PAUSE)
    return name


def _ask(store: Store, rank: int) -> str:
    question = uuid4().hex
    store.set(f"question/{rank}", question)
    while not store.check([f"{question}/answer"]):
        time.sleep(_PAUSE)
    name = str(store.get(f"{question}/answer").decode())
    store.add(f"{name}/here", 1)
    return name
