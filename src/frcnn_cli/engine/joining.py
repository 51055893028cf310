"""Connecting the processes that torchrun has started, and what becomes of them when one fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed import Store  # type: ignore[attr-defined]

from frcnn_cli.engine.attempt_store import attempt_store
from frcnn_cli.engine.distributed import Team
from frcnn_proposals.errors import InputError, MisuseError

# The first process may propose or evaluate for hours while the others wait for it.
_PATIENCE = timedelta(days=2)


@contextmanager
def joined(team: Team, device: torch.device) -> Iterator[torch.device]:
    """Connect the processes for the block: by gloo on CPUs, by nccl on GPUs.

    Yields the device of this process: `device`, or on GPUs the one of its local rank. Raises
    MisuseError where a machine has fewer GPUs than processes, InputError where another process
    dies. Of errors that several processes meet the first alone is raised; the others exit.
    """
    if team.world == 1:
        yield device
        return
    if device.type == "cuda":
        if team.local_rank >= torch.cuda.device_count():
            raise MisuseError(
                f"This machine has {torch.cuda.device_count()} GPUs and more processes.\n"
                "Lower torchrun's --nproc-per-node, or give --device cpu."
            )
        device = torch.device("cuda", team.local_rank)
        torch.cuda.set_device(device)
    store = attempt_store(team.rank, team.world, _PATIENCE)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(
        backend, store=store, rank=team.rank, world_size=team.world, timeout=_PATIENCE
    )
    try:
        with _one_voice(store), _deaths_explained():
            yield device
    finally:
        dist.destroy_process_group()


@contextmanager
def _deaths_explained() -> Iterator[None]:
    """Raise InputError where the block loses the connection to another process."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        raise InputError(
            "Another process of this training or evaluation has died, or its machine cannot be "
            "reached.\nWith --max-restarts torchrun begins again, and training goes on from its "
            "last checkpoint."
        ) from error


@contextmanager
def _one_voice(store: Store) -> Iterator[None]:
    """Let one process tell what all meet, or what a single one brings upon the others."""
    try:
        yield
    except InputError as error:
        if store.add("errors", 1) > 1:
            raise SystemExit(error.exit_code) from error
        raise
