"""Connect the processes that torchrun has started, and end all of them when one fails.

They find each other in a key-value store. torchrun's own store outlives them: after a restart it
still holds the addresses of dead processes, and a new process could read them before the new
addresses are written. The number of restarts does not identify an attempt, since machines
can count different numbers. So the first process chooses a random name for each attempt, and the
others ask it for the name.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from frcnn_cli.engine.distributed.devices import find_device
from frcnn_cli.engine.distributed.team import Team
from frcnn_proposals.errors import InputError, MisuseError

if TYPE_CHECKING:
    import torch
    from torch.distributed import Store  # type: ignore[attr-defined]

# The first process may propose or evaluate for hours while the others wait for it.
_PATIENCE = timedelta(days=2)


@contextmanager
def connected(team: Team, device: str = "cpu") -> Iterator[None]:
    """Connect the processes of the team for the block: with gloo on CPUs, with nccl on GPUs.

    A single process does nothing, and does not import torch. device: as in `find_device`. Raises
    as `own_device`, and InputError if another process dies. If several processes fail, only the
    first raises its error; the others exit.
    """
    if team.world == 1:
        yield
        return
    import torch
    import torch.distributed as dist

    own = own_device(team, device)
    if own.type == "cuda":
        torch.cuda.set_device(own)
    backend = "nccl" if own.type == "cuda" else "gloo"
    with _deaths_explained():
        store = attempt_store(team.rank, team.world, _PATIENCE)
        dist.init_process_group(
            backend, store=store, rank=team.rank, world_size=team.world, timeout=_PATIENCE
        )
    try:
        with _first_error_alone(store), _deaths_explained():
            yield
    finally:
        dist.destroy_process_group()


def own_device(team: Team, name: str) -> torch.device:
    """Return the device of this process: the given one, or in a team the GPU of its local rank.

    Raises MisuseError if the device does not exist, or if the machine has fewer GPUs than
    processes.
    """
    device = find_device(name)
    if team.world == 1 or device.type != "cuda":
        return device
    import torch

    if team.local_rank >= torch.cuda.device_count():
        raise MisuseError(
            f"This machine has {torch.cuda.device_count()} GPUs, fewer than processes.\n"
            "Lower torchrun's --nproc-per-node, or use --device cpu."
        )
    return torch.device("cuda", team.local_rank)


@contextmanager
def _deaths_explained() -> Iterator[None]:
    """Raise InputError if the block loses the connection to another process."""
    import torch.distributed as dist

    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        raise InputError(
            "Another process has died, or its machine cannot be reached.\nWith --max-restarts, "
            "torchrun restarts the processes, which resume from the last checkpoint or the "
            "finished images."
        ) from error


@contextmanager
def _first_error_alone(store: Store) -> Iterator[None]:
    """Let only the first process that fails raise its error; the others exit.

    If the process that holds the store has died, all of them raise their errors.
    """
    try:
        yield
    except InputError as error:
        if _count_error(store) > 1:
            raise SystemExit(error.exit_code) from error
        raise


def _count_error(store: Store) -> int:
    import torch.distributed as dist

    try:
        return store.add("errors", 1)
    except dist.DistError:
        return 1


_PAUSE = 0.02  # seconds between two reads of the store


def attempt_store(rank: int, world: int, patience: timedelta) -> Store:
    """Return the store of this attempt, once all `world` processes have joined it.

    patience: timeout of later operations on the store.
    """
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]
    from torch.distributed.rendezvous import rendezvous

    shared, _, _ = next(rendezvous("env://", rank, world))
    shared.set_timeout(patience)
    name = _answer_all(shared, world) if rank == 0 else _ask(shared, rank)
    return PrefixStore(name, shared)


def _answer_all(store: Store, world: int) -> str:
    name = uuid4().hex
    while store.add(f"{name}/here", 0) < world - 1:
        for rank in range(1, world):
            # The question may be from a dead process; the new process overwrites it.
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
