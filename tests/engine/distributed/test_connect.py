"""Processes of one attempt find one another in a store that remembers the dead of another."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import torch.distributed as dist

from frcnn_cli.engine.distributed.connect import attempt_store

PATIENCE = timedelta(seconds=20)


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> dist.TCPStore:
    """The store that torchrun keeps, and what it tells its processes of it."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(store.port))
    return store


def attempt(order: tuple[int, ...]) -> list[dist.Store]:
    """The stores of ranks 0, 1, ..., who come in `order`, some time after one another."""

    def come(rank: int) -> dist.Store:
        time.sleep(0.15 * order.index(rank))
        return attempt_store(rank, len(order), PATIENCE)

    with ThreadPoolExecutor(len(order)) as threads:
        return list(threads.map(come, range(len(order))))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_what_one_writes_all_of_its_attempt_read_and_no_other(
    agent: dist.TCPStore, order: tuple[int, ...]
) -> None:
    dead = attempt((0, 1, 2))
    dead[0].set("address of 0", b"nobody is here any more")
    living = attempt(order)
    assert not any(store.check(["address of 0"]) for store in living)
    living[0].set("address of 0", b"here")
    assert [store.get("address of 0") for store in living] == [b"here"] * 3


def test_the_question_of_a_dead_process_stands_for_nobody(agent: dist.TCPStore) -> None:
    agent.set("question/1", b"asked before the first process came")
    stores = attempt((0, 2, 1))
    stores[0].set("address of 0", b"here")
    assert stores[1].get("address of 0") == stores[2].get("address of 0") == b"here"
