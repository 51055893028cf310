"""Parts of results: complete or absent, found again by name, and never mixed."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numbered_parts import ABOUT, ITEMS, Numbers, OneOfTeam, equal, names, opened, row_of
from reporters import RecordingReporter

from frcnn_cli.engine.distributed.shard import Shard
from frcnn_cli.engine.parts.folder import Part
from frcnn_cli.engine.parts.ray_cluster import _to_row, _Writer
from frcnn_cli.engine.parts.rows import Item
from frcnn_cli.engine.parts.run import write_parts
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.formats.parts.about import ABOUT_FILE, About, part_files
from frcnn_proposals.formats.parts.files import read_errors, read_part, write_part
from frcnn_proposals.formats.parts.row import Row


@pytest.fixture(params=["jsonl", "parquet"])
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    return request.param


def test_a_part_is_read_as_it_was_written(kind: str, tmp_path: Path) -> None:
    rows = [row_of(item.name) for item in ITEMS]
    rows.append(Row("boxes only", np.array([[0.1, 2, 3, 4]], np.float32), None, None))
    path = tmp_path / f"a.{kind}"
    write_part(path, rows)
    found = read_part(path)
    assert len(found) == len(rows)
    assert all(map(equal, found, rows))
    before = path.read_bytes()
    with pytest.raises(InputError, match="exists"):
        write_part(path, rows[:1])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_image_that_fails_in_a_folder_that_is_not_utf8(kind: str, tmp_path: Path) -> None:
    path = os.fsdecode(b"photos\xff/a.jpg")
    write_part(tmp_path / f"a.{kind}", [Row("a", error=f"{path}: cannot be read"), row_of("i2")])
    found = read_part(tmp_path / f"a.{kind}")
    assert read_errors(tmp_path / f"a.{kind}") == [found[0].error]
    assert found[0].error == "photos\\udcff/a.jpg: cannot be read"
    assert equal(found[1], row_of("i2"))


def test_a_part_without_images(kind: str, tmp_path: Path) -> None:
    write_part(tmp_path / f"a.{kind}", [])
    assert read_part(tmp_path / f"a.{kind}") == []


def test_parquet_is_for_every_reader(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [row_of(item.name) for item in ITEMS]
    write_part(tmp_path / "a.parquet", rows)
    table = parquet.read_table(tmp_path / "a.parquet")
    assert [str(field.type) for field in table.schema] == [
        "string", "list<element: list<element: float>>", "list<element: float>",
        "list<element: int64>", "string",
    ]  # fmt: skip
    assert table.to_pylist()[2]["boxes"] == rows[2].boxes.tolist()
    assert table.to_pylist()[6]["boxes"] is None


@pytest.mark.parametrize("content", [b"", b"nothing", b'{"id": 3}\n', b"PAR1 PAR1", b"[]\n"])
def test_a_damaged_part_is_named(content: bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content)
    if content or kind == "parquet":
        with pytest.raises(InputError, match=rf"a\.{kind}: is not a readable part"):
            read_part(path)
        with pytest.raises(InputError, match=rf"a\.{kind}: is not a readable part"):
            read_errors(path)
    write_part(tmp_path / f"b.{kind}", [row_of("i1"), row_of("i2")])
    whole = (tmp_path / f"b.{kind}").read_bytes()
    path.write_bytes(whole[: len(whole) - 9])
    with pytest.raises(InputError, match="not a readable part"):
        read_part(path)


def test_a_row_without_all_values_is_damaged(kind: str, tmp_path: Path) -> None:
    """Of another program; the values of the other rows would be those of other boxes."""
    boxes, scores, labels = np.ones((1, 4), np.float32), np.ones(1, np.float32), np.ones(1, int)
    for row in (Row("a", boxes, None, labels), Row("a", None, scores, labels, "too bad")):
        path = tmp_path / f"a.{kind}"
        path.unlink(missing_ok=True)
        write_part(path, [row, row_of("i2")])
        with pytest.raises(InputError, match=r"a\.(jsonl|parquet): .* row of 'a' is not complete"):
            read_part(path)


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"parts\.json: cannot be written \(No space left"):
        opened(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_finished_parts_are_skipped_by_any_number_of_processes(kind: str, tmp_path: Path) -> None:
    function, reporter = Numbers(), RecordingReporter()
    folder = opened(tmp_path / "out", format=kind)
    first = write_parts(function, folder, "", OneOfTeam(1, 2), reporter)
    assert function.seen == ["i3", "i4", "i5"]
    assert (first.written, first.images, first.failed) == (1, 3, 0)
    stamp = os.stat(tmp_path / "out" / names(folder)[1]).st_mtime_ns
    result = write_parts(function, opened(tmp_path / "out", format=kind), "", reporter=reporter)
    assert function.seen == ["i3", "i4", "i5", "i0", "i1", "i2", "i6"]
    assert (result.written, result.reused, result.images, result.failed) == (2, 1, 4, 1)
    assert result.messages == ("i6: too bad",)
    assert reporter.counts[-1] == (7, 7)
    assert os.stat(tmp_path / "out" / names(folder)[1]).st_mtime_ns == stamp
    assert [path.name for path in part_files(tmp_path / "out")] == names(folder)
    rows = [row for path in part_files(tmp_path / "out") for row in read_part(path)]
    assert all(map(equal, rows, [row_of(item.name) for item in ITEMS]))
    again = write_parts(function, folder, "")
    assert (again.written, again.reused, again.images) == (0, 3, 0)
    assert (again.failed, again.messages) == (1, ("i6: too bad",))


def test_ctrl_c_keeps_finished_parts(tmp_path: Path) -> None:
    def interrupt() -> None:
        if len(reporter.counts) == 5:
            raise KeyboardInterrupt

    reporter = RecordingReporter(interrupt)
    folder = opened(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        write_parts(Numbers(), folder, "", reporter=reporter)
    assert reporter.notes == ["Finished parts are saved: run the same command to resume."]
    assert [path.name for path in part_files(tmp_path)] == names(folder)[:1]


def test_paths_and_notices_are_those_that_ray_sends(tmp_path: Path) -> None:
    """Ray Data sends the rows as Arrow tables."""
    pyarrow = pytest.importorskip("pyarrow")
    path = os.fsdecode(b"photos\xff/a.jpg")
    row = pyarrow.Table.from_pylist([_to_row(Part("b", (Item("a", path),)))]).to_pylist()[0]
    seen: list[Item] = []

    class Records(Numbers):
        def rows(self, items: Iterable[Item], threads: int | None = None) -> Iterator[Row]:
            assert threads == 3
            seen.extend(items)
            return iter([replace(row_of("i1"), notices={("box was", "boxes were"): 2})])

    counts = _Writer(Records(), str(tmp_path), os.getcwd(), 3)({**row, "name": "a.jsonl"})
    assert seen == [Item("a", path)]
    assert json.loads(counts["notices"]) == [[["box was", "boxes were"], 2]]


def test_errors_of_a_part_whose_worker_was_lost_afterwards(tmp_path: Path) -> None:
    folder = opened(tmp_path)
    write_parts(Numbers(), folder, "")
    row = _to_row(folder.parts[2])
    counts = _Writer(Numbers(), str(tmp_path), os.getcwd(), 1)(row)
    assert (counts["images"], json.loads(counts["errors"])) == (1, ["i6: too bad"])


def test_shards_share_a_folder(tmp_path: Path) -> None:
    for index in (1, 2):
        items = [item for item in ITEMS if Shard(index, 2).holds(item.name)]
        write_parts(Numbers(), opened(tmp_path, items=items, shard=Shard(index, 2)), "")
    found = [row.image_id for path in part_files(tmp_path) for row in read_part(path)]
    assert sorted(found) == [item.name for item in ITEMS]
    assert len(set(found)) == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"about": About("detections", {"model": "b", "settings": ABOUT.identity["settings"]},
                         ("cat",))}, "differ in model"),
        ({"about": About("detections", {"model": "a", "settings": {"top_k": 4, "scales": (1, 2)}},
                         ("cat",))}, r"differ in settings\.top_k\."),
        ({"about": About("detections", ABOUT.identity, ("dog",))}, "differ in classes"),
        ({"about": About("proposals", ABOUT.identity)}, "differ in content: detections"),
        ({"items": ITEMS[1:]}, "other images"),
        ({"size": 4}, "another --part-size"),
        ({"shard": Shard(1, 2)}, "is of --shard 1/1"),
        ({"format": "parquet"}, "not of --format parquet"),
    ],
)  # fmt: skip
def test_parts_of_something_else_are_rejected_before_the_work(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    if changes.get("format") == "parquet":
        pytest.importorskip("pyarrow")
    write_parts(Numbers(), opened(tmp_path), "")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(MisuseError, match=message):
        opened(tmp_path, **changes)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_part_that_was_copied_from_another_folder(tmp_path: Path) -> None:
    other = About("detections", {"model": "b"}, ("cat",))
    write_parts(Numbers(), opened(tmp_path / "b", other), "")
    copied = part_files(tmp_path / "b")[0]
    opened(tmp_path / "a")
    copied.rename(tmp_path / "a" / copied.name)
    with pytest.raises(MisuseError, match=rf"{copied.name}: this part is of another model"):
        opened(tmp_path / "a")
    (tmp_path / "a" / ABOUT_FILE).unlink()
    with pytest.raises(MisuseError, match=r"contains parts, but no parts\.json"):
        opened(tmp_path / "a")


def test_a_cut_part_of_another_shard_is_left_to_it(tmp_path: Path) -> None:
    items = {index: [i for i in ITEMS if Shard(index, 2).holds(i.name)] for index in (1, 2)}
    write_parts(Numbers(), opened(tmp_path, items=items[1], shard=Shard(1, 2)), "")
    cut = part_files(tmp_path)[0]
    cut.write_bytes(cut.read_bytes()[:-5])
    write_parts(Numbers(), opened(tmp_path, items=items[2], shard=Shard(2, 2)), "")
    with pytest.raises(InputError, match="its end is missing"):
        opened(tmp_path, items=items[1], shard=Shard(1, 2))


def test_a_cut_part_and_a_strange_description(tmp_path: Path) -> None:
    folder = opened(tmp_path)
    write_parts(Numbers(), folder, "")
    last = tmp_path / names(folder)[-1]
    last.write_bytes(last.read_bytes()[:-5])
    with pytest.raises(InputError, match=rf"{last.name}: .*its end is missing"):
        opened(tmp_path)
    last.unlink()
    assert write_parts(Numbers(), opened(tmp_path), "").written == 1
    for content in ("", "[]", "{}", '{"format": "frcnn parts 1"}', '{"format": 3}'):
        (tmp_path / ABOUT_FILE).write_text(content)
        with pytest.raises(InputError, match=r"parts\.json: does not describe parts"):
            opened(tmp_path)
