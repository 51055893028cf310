"""A folder of parts as proposals: boxes by image id, read when they are requested."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from called import frcnn
from slopes import peak_bytes

from frcnn_proposals.base import Proposals
from frcnn_proposals.digest import proposal_digest, proposal_state
from frcnn_proposals.errors import InputError
from frcnn_proposals.formats import read_proposals
from frcnn_proposals.formats.parts import files
from frcnn_proposals.formats.parts.about import ABOUT_FILE, About, part_files
from frcnn_proposals.formats.parts.files import read_block, read_places, write_part
from frcnn_proposals.formats.parts.proposals import PartsProposals
from frcnn_proposals.formats.parts.row import Row
from frcnn_proposals.sources.precomputed import Precomputed
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.reader import open_store

SOURCE = {"source": "dense", "version": "1", "parameters": {"step": 0.3}}
ABOUT = About("proposals", {**SOURCE, "max_pixels": 9})
NAMES = [f'folder/b "{number}"' for number in range(12)]
FAILED = NAMES[7]


@pytest.fixture(params=["jsonl", "parquet"])
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    return request.param


def row_of(name: str, boxes: int) -> Row:
    if name == FAILED:
        return Row(name, error="too bad")
    rng = np.random.default_rng(NAMES.index(name))
    corners = np.sort(rng.random((boxes, 2, 2), np.float32) * 90, axis=1).reshape(-1, 4)
    return Row(name, corners, rng.random(boxes, np.float32))


def part_name(number: int, kind: str, about: About = ABOUT) -> str:
    return f"part-{about.digest[:8]}-1of1-{number:06}-{number:08x}.{kind}"


def write(folder: Path, kind: str, about: About = ABOUT, boxes: int = 30) -> list[Path]:
    """Parts of five images, the last one of two."""
    folder.mkdir()
    (folder / ABOUT_FILE).write_bytes(about.to_json())
    for number in range(3):
        rows = [row_of(name, boxes) for name in NAMES[number * 5 : number * 5 + 5]]
        write_part(folder / part_name(number, kind, about), rows)
    return part_files(folder)


def test_boxes_by_id_in_any_order(kind: str, tmp_path: Path) -> None:
    write(tmp_path / "a", kind)
    found = read_proposals(tmp_path / "a")
    assert isinstance(found, PartsProposals)
    assert list(found) == [name for name in NAMES if name != FAILED]
    assert FAILED not in found
    assert list(found.failures()) == [(FAILED, "too bad")]
    assert found.provenance == Provenance(**SOURCE)
    for proposals in (found, pickle.loads(pickle.dumps(found))):
        for name in reversed(list(found)):
            expected = row_of(name, 30)
            assert expected.boxes is not None
            order = np.argsort(-expected.scores, kind="stable")
            np.testing.assert_array_equal(proposals[name].boxes, expected.boxes[order])
            np.testing.assert_array_equal(proposals[name].scores, expected.scores[order])


def test_the_source_precomputed(kind: str, tmp_path: Path) -> None:
    write(tmp_path / "a", kind)
    source = Precomputed(tmp_path / "a")
    source.load()
    assert len(source.propose_for(NAMES[3], (100, 100))) == 30
    with pytest.raises(InputError, match="has no boxes for image"):
        source.propose_for(FAILED)
    with pytest.raises(InputError, match="has no boxes for image"):
        source.propose_for(NAMES[3].rpartition("/")[2])  # an id of parts is complete


def test_only_what_is_requested_is_decoded(kind: str, tmp_path: Path) -> None:
    few, many = (write(tmp_path / str(n), kind, boxes=n) for n in (10, 30_000))
    for path in many[:2]:
        blocks = {place.block for _, place, _ in read_places(path)}
        assert max(len(read_block(path, block)) for block in blocks) <= 2
    peaks = [peak_bytes(lambda p=p: PartsProposals(p[0].parent)) for p in (few, many)]
    assert peaks[1] - peaks[0] < sum(path.stat().st_size for path in many) / 3


def test_the_digest_and_the_state_change_with_the_parts(kind: str, tmp_path: Path) -> None:
    last = write(tmp_path / "a", kind)[-1]
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert proposal_digest(tmp_path / "a") == proposal_digest(tmp_path / "b")
    before = proposal_digest(tmp_path / "a"), proposal_state(tmp_path / "a")
    last.unlink()
    assert proposal_digest(tmp_path / "a") != before[0]
    assert proposal_state(tmp_path / "a") != before[1]


def test_a_part_that_cannot_be_read_is_named(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a", kind)[1]
    whole = path.read_bytes()
    for content in (whole[:-9], b"nothing\n", whole + b"more"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"{path.name}: is not a readable part"):
            read_proposals(tmp_path / "a")


def test_damaged_boxes_are_named_when_they_are_requested(tmp_path: Path) -> None:
    path = write(tmp_path / "a", "jsonl")[1]
    whole = path.read_bytes().replace(b"]]", b"]", 1)
    path.write_bytes(whole)
    found = read_proposals(tmp_path / "a")
    assert len(found[NAMES[8]]) == 30
    with pytest.raises(InputError, match=f"{path.name}: is not a readable part"):
        found[NAMES[5]]
    path.write_bytes(whole.replace(b'\\"9\\"', b'\\"X\\"'))
    with pytest.raises(InputError, match=f"{path.name}: .*it was changed after it was opened"):
        found[NAMES[9]]


def test_boxes_that_are_not_boxes(kind: str, tmp_path: Path) -> None:
    write(tmp_path / "a", kind)
    path = tmp_path / "a" / part_name(5, kind)
    write_part(path, [Row("inverted", np.array([[9, 9, 1, 1]], np.float32))])
    with pytest.raises(InputError, match=f"{path.name}: image 'inverted': "):
        read_proposals(tmp_path / "a")["inverted"]


def test_a_group_of_parquet_has_no_more_rows_than_its_numbers_can_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    assert files._ROWS_IN_GROUP == 1 << files.ROW_BITS
    monkeypatch.setattr(files, "_ROWS_IN_GROUP", 2)
    path = write(tmp_path / "a", "parquet", boxes=1)[0]
    assert [place for _, place, _ in read_places(path)] == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]


def test_an_id_in_two_rows(kind: str, tmp_path: Path) -> None:
    path, other, _ = write(tmp_path / "a", kind)
    copied = path.with_name(part_name(9, kind))
    shutil.copy(path, copied)
    with pytest.raises(InputError, match=rf"is in two parts, {path.name} and {copied.name}\."):
        read_proposals(tmp_path / "a")
    copied.unlink()
    other.unlink()
    write_part(other, [row_of(FAILED, 1), row_of(FAILED, 1)])
    with pytest.raises(InputError, match=f"is in two rows of {other.name}"):
        read_proposals(tmp_path / "a")


def test_parts_of_something_else(kind: str, tmp_path: Path) -> None:
    write(tmp_path / "a", kind)
    other = About("proposals", {**SOURCE, "version": "2"})
    of_other = write(tmp_path / "other", kind, other)[0]
    shutil.copy(of_other, tmp_path / "a")
    with pytest.raises(InputError, match=f"{of_other.name}: this part is of another model, source"):
        read_proposals(tmp_path / "a")
    (tmp_path / "a" / ABOUT_FILE).unlink()
    for read in (read_proposals, proposal_digest, proposal_state):
        with pytest.raises(InputError, match=r"parts\.json: is missing\. Copy it from the folder"):
            read(tmp_path / "a")
    write(tmp_path / "found", kind, About("detections", {}, ("cat",)))
    with pytest.raises(InputError, match="contains parts of detections, not of proposals"):
        read_proposals(tmp_path / "found")
    for path in part_files(tmp_path / "other"):
        path.unlink()
    with pytest.raises(InputError, match="contains no finished parts"):
        read_proposals(tmp_path / "other")
    with pytest.raises(InputError, match="is a folder of parts, not coco"):
        read_proposals(tmp_path / "other", "coco")
    with pytest.raises(InputError, match="is not a proposal store"):
        read_proposals(tmp_path / "other", "store")


def test_inspected_and_converted(kind: str, tmp_path: Path) -> None:
    write(tmp_path / "a", kind)
    shown = frcnn("proposals", "inspect", tmp_path / "a")
    assert shown.exit_code == 0, shown.output
    assert "certain: the folder states it" in " ".join(shown.output.split())
    done = frcnn("proposals", "convert", tmp_path / "a", tmp_path / "a.proposals")
    assert done.exit_code == 0, done.output
    store, parts = open_store(tmp_path / "a.proposals"), PartsProposals(tmp_path / "a")
    assert store.provenance == parts.provenance
    assert sorted(store) == sorted(parts)
    for name, proposals in parts.items():
        assert isinstance(proposals, Proposals)
        np.testing.assert_array_equal(store[name].boxes, proposals.boxes)
