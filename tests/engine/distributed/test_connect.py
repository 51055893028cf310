"""Processes of one attempt connect through a store that still has entries of dead processes."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import torch.distributed as dist

from frcnn_cli.engine.distributed import connect
from frcnn_cli.engine.distributed.connect import attempt_store, connected
from frcnn_cli.engine.distributed.team import Team
from frcnn_proposals.errors import InputError

PATIENCE = timedelta(seconds=20)


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> dist.TCPStore:
    """The store of torchrun, with the environment variables that it sets."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(store.port))
    return store


def attempt(order: tuple[int, ...]) -> list[dist.Store]:
    """Return the stores of ranks 0, 1, ..., which join one after another in `order`."""

    def join(rank: int) -> dist.Store:
        time.sleep(0.15 * order.index(rank))
        return attempt_store(rank, len(order), PATIENCE)

    with ThreadPoolExecutor(len(order)) as threads:
        return list(threads.map(join, range(len(order))))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_entries_are_visible_only_to_processes_of_the_same_attempt(
    agent: dist.TCPStore, order: tuple[int, ...]
) -> None:
    dead = attempt((0, 1, 2))
    dead[0].set("address of 0", b"a dead process")
    alive = attempt(order)
    assert not any(store.check(["address of 0"]) for store in alive)
    alive[0].set("address of 0", b"here")
    assert [store.get("address of 0") for store in alive] == [b"here"] * 3


def test_the_question_of_a_dead_process_does_not_count_as_a_process(agent: dist.TCPStore) -> None:
    agent.set("question/1", b"written before the first process joined")
    stores = attempt((0, 2, 1))
    stores[0].set("address of 0", b"here")
    assert stores[1].get("address of 0") == stores[2].get("address of 0") == b"here"


class DeadStore:
    """The store of a process that has died."""

    def add(self, key: str, count: int) -> int:
        raise dist.DistNetworkError("Failed to recv, got 0 bytes")


def dead_store(*_: object) -> dist.Store:
    raise dist.DistNetworkError("Failed to recv, got 0 bytes")


def fail() -> None:
    with connected(Team(1, 2)):
        raise InputError("x.jpg: cannot be read")


def test_an_error_is_raised_after_the_store_has_died(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "attempt_store", lambda *_: DeadStore())
    for name in ("init_process_group", "destroy_process_group"):
        monkeypatch.setattr(dist, name, lambda *_, **__: None)
    with pytest.raises(InputError, match=r"x\.jpg: cannot be read"):
        fail()


def test_a_death_before_all_have_joined_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "attempt_store", dead_store)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: None)
    with pytest.raises(InputError, match="Another process has died"):
        fail()
