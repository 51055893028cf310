"""Stores to which rows are added, by processes that can be killed before each statement."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np

from frcnn_proposals.base import Proposals
from frcnn_proposals.store import append
from frcnn_proposals.store.append import append_rows
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.reader import ProposalStore, open_store
from frcnn_proposals.store.writer import StoreWriter

SOURCE = Provenance("test", "1")
Content = tuple[dict[str, list], list[tuple[str, str]], int]
FORK = multiprocessing.get_context("fork")


def boxes(number: int, count: int = 50) -> Proposals:
    return Proposals(np.full((count, 4), number, np.float32))


def write(path: Path, numbers: dict[str, int], failures: tuple[str, ...] = ()) -> Path:
    with StoreWriter(path, SOURCE) as writer:
        for image_id, number in numbers.items():
            writer.add(image_id, boxes(number), digest=str(number))
        for image_id in failures:
            writer.add_failure(image_id, "why", digest="d")
        return writer.finish()


def content(store: ProposalStore) -> Content:
    """The first box of each image, the failures, and the number of images."""
    found = {image_id: store[image_id].boxes[0].tolist() for image_id in store}
    return found, list(store.failures()), len(store)


def content_at(path: Path) -> Content:
    return content(open_store(path))


def expected_of(pair: tuple[Path, Path]) -> Content:
    (old, _, _), (new, failures, _) = map(content_at, pair)
    found = dict(sorted((old | new).items()))
    del found["old008"]
    return found, sorted([*failures, ("worse", "why")]), len(found)


class Killed(sqlite3.Connection):
    """Kills the process before a statement, and writes to the file before the transaction ends."""

    left = 0

    def execute(self, *arguments: object) -> sqlite3.Cursor:  # type: ignore[override]
        Killed.left -= 1
        if Killed.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if arguments[0] == "BEGIN IMMEDIATE":
            super().execute("PRAGMA cache_size = 10")
        return super().execute(*arguments)  # type: ignore[arg-type]


def exit_code(work: Callable[[], object]) -> int | None:
    child = FORK.Process(target=work)
    child.start()
    child.join(60)
    return child.exitcode


def append_until(statement: int, store: Path, added: Path) -> None:
    Killed.left = statement
    append.sqlite3.connect = functools.partial(sqlite3.connect, factory=Killed)  # type: ignore
    append_rows(store, added)
