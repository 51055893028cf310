"""Merging many stores: linear, with few open files, and resumable."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from slopes import calls_during, slope

from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.store import merge, writer
from frcnn_proposals.store.merge import merge_stores
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.reader import open_store
from frcnn_proposals.store.writer import StoreWriter, partial_path

SOURCE = Provenance("test", "1")
_FORK = multiprocessing.get_context("fork")


def store(path: Path, *ids: str, failures: tuple[str, ...] = (), value: int = 1) -> Path:
    with StoreWriter(path, SOURCE) as written:
        for image_id in ids:
            written.add(image_id, Proposals(np.full((3, 4), value)), digest="d", size=(9, 9))
        for image_id in failures:
            written.add_failure(image_id, f"why in {path.name}", digest="d")
        return written.finish()


def stores(folder: Path, count: int, images: int = 5) -> list[Path]:
    folder.mkdir()
    return [
        store(folder / f"{part:04}", *(f"{part:04}-{number}" for number in range(images)))
        for part in range(count)
    ]


def test_statements_per_image_do_not_depend_on_the_number_of_stores(tmp_path: Path) -> None:
    statements = []
    for count in (4, 24):
        parts = stores(tmp_path / f"parts{count}", count)
        calls = calls_during(partial(merge_stores, parts, tmp_path / f"merged{count}"))
        statements.append((count, calls["execute"] / (5 * count)))
    assert slope(*statements) < 0.1


def test_boxes_come_before_failures_wherever_they_are(tmp_path: Path) -> None:
    one = store(tmp_path / "1", "a", "same", failures=("b", "c"))
    two = store(tmp_path / "2", "b", "same", failures=("a", "c"))
    counted: list[None] = []
    result = merge_stores([one, two], tmp_path / "m", lambda: counted.append(None))
    assert (result.images, result.failures) == (3, (("c", "why in 2"),))
    assert list(open_store(tmp_path / "m")) == ["a", "b", "same"]
    assert open_store(tmp_path / "m").image_size("b") == (9, 9)
    assert len(counted) == 4


def test_other_boxes_of_an_image_name_the_two_stores(tmp_path: Path) -> None:
    parts = [store(tmp_path / "1", "a"), store(tmp_path / "2", "b"), store(tmp_path / "3", "c")]
    parts.append(store(tmp_path / "4", "b", value=2))
    with pytest.raises(InputError, match=r"/2 and .*/4 have different boxes for image 'b'"):
        merge_stores(parts, tmp_path / "m")


def _merge_with_few_files(parts: list[Path], out: Path) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    merge_stores(parts, out)


def test_more_stores_than_open_files_are_merged(tmp_path: Path) -> None:
    parts = stores(tmp_path / "parts", 80, images=1)
    child = _FORK.Process(target=_merge_with_few_files, args=(parts, tmp_path / "m"))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert len(open_store(tmp_path / "m")) == 80


def _open_without_files(path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    with pytest.raises(InputError, match=r"cannot be read \(.*Too many open files"):
        open_store(path)


def test_a_limit_of_the_system_is_not_blamed_on_the_store(tmp_path: Path) -> None:
    child = _FORK.Process(target=_open_without_files, args=(store(tmp_path / "1", "a"),))
    child.start()
    child.join(60)
    assert child.exitcode == 0


def _merge_until(images: int, parts: list[Path], out: Path) -> None:
    left = images

    def on_image() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    merge_stores(parts, out, on_image)


@pytest.mark.parametrize("images", [1, 11, 20, 21, 39])
def test_a_killed_merge_is_resumed(
    tmp_path: Path, images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_BATCH", 4)
    parts, out = stores(tmp_path / "parts", 4, images=10), tmp_path / "m"
    child = _FORK.Process(target=_merge_until, args=(images, parts, out))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert not out.exists()
    added: list[str] = []
    monkeypatch.setattr(
        merge, "_add", lambda image_id, *rest: (added.append(image_id), _add(image_id, *rest))
    )
    counted: list[None] = []
    merge_stores(parts, out, lambda: counted.append(None))
    every = [image_id for part in parts for image_id in open_store(part)]
    assert added == every[len(every) - len(added) :]
    assert len(added) <= len(every) - images
    assert len(counted) == len(every)
    merge_stores(parts, tmp_path / "whole")
    assert all((open_store(out)[name].boxes == 1).all() for name in every)
    assert list(open_store(out)) == list(open_store(tmp_path / "whole")) == every


_add = merge._add


def test_the_rest_of_another_work_is_not_resumed(tmp_path: Path) -> None:
    """Neither of a merge of other stores, nor of a computation into the same file."""
    out = tmp_path / "m"
    other = store(tmp_path / "other", "other")
    child = _FORK.Process(target=_merge_until, args=(1, [other], out))
    child.start()
    child.join(60)
    assert partial_path(out).exists()
    part = store(tmp_path / "part", "a")
    merge_stores([part], out)
    assert list(open_store(out)) == ["a"]
    with StoreWriter(out, SOURCE) as written:
        written.add("rest", Proposals([]))
    merge_stores([part], out)
    assert list(open_store(out)) == ["a"]
