"""The parts of a store that several processes leave, added by the next run."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from full_disk import no_file_may_exceed

from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.store.destination import Destination
from frcnn_proposals.store.parts import add_parts, part_path
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.reader import open_store
from frcnn_proposals.store.writer import StoreWriter

SOURCE = Provenance("test", "1", {"mode": "fast"})


def boxes(x2: float, count: int = 1) -> Proposals:
    return Proposals(np.tile([0, 0, x2, 5], (count, 1)))


def write(path: Path, images: dict[str, tuple[float, str]], finish: bool = False) -> StoreWriter:
    """Write boxes up to x2, and digests, by image id."""
    with StoreWriter(path, SOURCE) as writer:
        for image_id, (x2, digest) in images.items():
            writer.add(image_id, boxes(x2), digest=digest, size=(99, 9))
        if finish:
            writer.finish()
    return writer


def add(out: Path, provenance: Provenance = SOURCE) -> None:
    with Destination(out, provenance) as store:
        add_parts(store, out, provenance)
        store.finish(None)


def content(path: Path) -> dict[str, float]:
    store = open_store(path)
    return {image_id: float(store[image_id].boxes[0, 2]) for image_id in store}


def test_parts_of_any_number_of_processes_are_added_and_removed(tmp_path: Path) -> None:
    """Some processes had ended, others were interrupted; the store has older boxes of an image."""
    out = tmp_path / "s"
    write(out, {"old": (1, "a"), "changed": (2, "b")}, finish=True)
    write(part_path(out, 0), {"changed": (3, "c")}, finish=True)
    write(part_path(out, 1), {"new": (4, "d")})
    write(part_path(out, 12), {"old": (1, "a"), "other": (5, "e")})
    others = {"s.rank", "s.rank1x", "t.rank1", "s.1of2"}
    for name in others:
        (tmp_path / name).write_text("not a part of this store")
    add(out)
    assert content(out) == {"old": 1, "changed": 3, "new": 4, "other": 5}
    assert open_store(out).image_size("new") == (99, 9)
    assert set(os.listdir(tmp_path)) == {"s", *others}


def test_nothing_is_written_for_images_that_are_stored(tmp_path: Path) -> None:
    out = tmp_path / "s"
    write(out, {"a": (1, "a")}, finish=True)
    before = out.stat()
    write(part_path(out, 0), {"a": (1, "a")})
    add(out)
    assert (out.stat().st_ino, out.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert os.listdir(tmp_path) == ["s"]


def test_boxes_replace_the_failure_of_another_part(tmp_path: Path) -> None:
    out = tmp_path / "s"
    for rank, error in enumerate(("out of memory", "killed")):
        with StoreWriter(part_path(out, 2 * rank), SOURCE) as part:
            part.add_failure("a", error, digest="a")
            part.add_failure(f"b{rank}", error)
    write(part_path(out, 1), {"a": (1, "a")})
    add(out)
    assert content(out) == {"a": 1}
    assert list(open_store(out).failures()) == [("b0", "out of memory"), ("b1", "killed")]


def test_parts_of_another_source_are_not_added(tmp_path: Path) -> None:
    out = tmp_path / "s"
    write(part_path(out, 0), {"a": (1, "a")}, finish=True)
    write(part_path(out, 1), {"b": (1, "b")})
    add(out, Provenance("another", "1"))
    assert content(out) == {}
    assert os.listdir(tmp_path) == ["s"]


def test_a_part_in_use_is_not_taken(tmp_path: Path) -> None:
    out = tmp_path / "s"
    with StoreWriter(part_path(out, 1), SOURCE) as part:
        part.add("a", boxes(1), digest="a")
        with pytest.raises(InputError, match="another process is writing it"):
            add(out)
        part.add("b", boxes(2), digest="b")
    add(out)
    assert content(out) == {"a": 1, "b": 2}


def test_parts_stay_until_their_images_are_on_the_disk(tmp_path: Path) -> None:
    out = tmp_path / "s"
    for rank in (0, 1):
        with StoreWriter(part_path(out, rank), SOURCE) as part:
            part.add(str(rank), boxes(rank + 1, 5000), digest="d")
    with no_file_may_exceed(120_000), pytest.raises(InputError, match="cannot be written"):
        add(out)
    assert not out.exists()
    add(out)
    assert content(out) == {"0": 1, "1": 2}
    assert os.listdir(tmp_path) == ["s"]


def test_locks_of_killed_processes_are_removed(tmp_path: Path) -> None:
    """One was killed before it had a part, one when its part was complete, one at the very end."""
    out = tmp_path / "s"
    write(out, {"a": (1, "a")}, finish=True)
    write(part_path(out, 2), {"b": (2, "b")}, finish=True)
    for name in (".s.rank1.lock", ".s.rank2.lock", ".s.lock"):
        (tmp_path / name).touch()
    add(out)
    assert content(out) == {"a": 1, "b": 2}
    assert os.listdir(tmp_path) == ["s"]
    (tmp_path / ".s.lock").touch()
    add(out)  # there is nothing to write
    assert os.listdir(tmp_path) == ["s"]


def test_a_file_that_is_no_part_is_named_and_stays(tmp_path: Path) -> None:
    out = tmp_path / "s"
    part_path(out, 1).write_text("notes")
    with pytest.raises(InputError, match=r"s\.rank1: exists and is not a proposal store"):
        add(out)
    assert part_path(out, 1).read_text() == "notes"
