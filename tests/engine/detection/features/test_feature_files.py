"""Files of features: the same arrays in every format, resumed rows, and memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frcnn_cli.engine.benchmarks.measuring import peak_growth
from frcnn_cli.engine.detection.features.files import (
    check_output,
    is_folder,
    write_image,
    write_images,
)
from frcnn_cli.engine.detection.features.rows import (
    Block,
    FeatureJournal,
    Field,
    ImageRows,
    row_path,
)
from frcnn_proposals.errors import Error, InputError, MisuseError

FIELDS = {
    "features": Field(np.dtype("<f2"), (3, 2)),
    "boxes": Field(np.dtype("<f4"), (4,)),
    "objects_id": Field(np.dtype("<i8")),
}
IDENTITY = {"model": "m"}


def block(count: int, seed: int) -> Block:
    rng = np.random.default_rng(seed)
    return {
        "features": rng.normal(size=(count, 3, 2)).astype("<f2"),
        "boxes": rng.uniform(0, 50, (count, 4)).astype("<f4"),
        "objects_id": rng.integers(0, 9, count),
    }


def stored(journal: FeatureJournal, image_id: str, *blocks: Block) -> ImageRows:
    rows = journal.append(blocks, (64, 48))
    journal.add(image_id, "digest", rows)
    return rows


def test_formats_hold_the_same_arrays(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with FeatureJournal(tmp_path / "j", IDENTITY, FIELDS) as journal:
        rows = {
            "ä/1": stored(journal, "ä/1", block(4, 1), block(3, 2)),
            "none": stored(journal, "none"),
            "2": stored(journal, "2", block(5, 3)),
        }
        # The order of the file is that of the images, not of the rows.
        images = {image_id: rows[image_id] for image_id in ("2", "none", "ä/1")}
        for name in ("a.npz", "a.h5"):
            write_images(tmp_path / name, images, FIELDS, ("cat", "dög"))
    found = np.load(tmp_path / "a.npz")
    assert found["image_id"].tolist() == ["2", "none", "ä/1"]
    assert found["num_boxes"].tolist() == [5, 0, 7]
    assert found["pos_boxes"].tolist() == [[0, 5], [5, 5], [5, 12]]
    assert found["image_w"].tolist() == [64] * 3
    assert found["image_h"].tolist() == [48] * 3
    assert found["classes"].tolist() == ["cat", "dög"]
    for name, field in FIELDS.items():
        expected = np.concatenate([block(5, 3)[name], block(4, 1)[name], block(3, 2)[name]])
        assert found[name].dtype == field.dtype
        assert np.array_equal(found[name], expected)
    with h5py.File(tmp_path / "a.h5") as file:
        assert set(file) == set(found)
        for name in found:
            values = file[name].asstr()[()] if found[name].dtype.kind == "U" else file[name][()]
            assert np.array_equal(values, found[name])


def test_a_file_of_one_image(tmp_path: Path) -> None:
    blocks = iter([block(4, 1), block(3, 2)])
    rows = ImageRows(0, 7, 64, 48, tmp_path)
    write_image(tmp_path / "a" / "1.npz", "a/1", rows, FIELDS, blocks)
    found = np.load(tmp_path / "a" / "1.npz")
    assert (str(found["image_id"]), int(found["num_boxes"])) == ("a/1", 7)
    assert (int(found["image_w"]), int(found["image_h"])) == (64, 48)
    for name in FIELDS:
        assert np.array_equal(found[name], np.concatenate([block(4, 1)[name], block(3, 2)[name]]))


def test_no_image_gives_empty_arrays(tmp_path: Path) -> None:
    write_images(tmp_path / "a.npz", {}, FIELDS, None)
    found = np.load(tmp_path / "a.npz")
    assert found["features"].shape == (0, 3, 2)
    assert found["pos_boxes"].shape == (0, 2)
    assert "classes" not in found


def test_rows_of_unfinished_images_are_removed(tmp_path: Path) -> None:
    """A killed process leaves rows that no line of the journal names."""
    with FeatureJournal(tmp_path / "j", IDENTITY, FIELDS) as journal:
        stored(journal, "1", block(4, 1))
        journal.append([block(9, 2)], (64, 48))
    with FeatureJournal(tmp_path / "j", IDENTITY, FIELDS) as journal:
        first = journal.known("1", "digest")
        assert first == ImageRows(0, 4, 64, 48, tmp_path / "j")
        assert journal.known("1", "changed") is None
        images = {"1": first, "2": stored(journal, "2", block(5, 3))}
        assert images["2"].start == 4
        write_images(tmp_path / "a.npz", images, FIELDS, None)
        journal.remove()
    expected = np.concatenate([block(4, 1)["features"], block(5, 3)["features"]])
    assert np.array_equal(np.load(tmp_path / "a.npz")["features"], expected)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_images_whose_rows_were_lost_are_computed_again(tmp_path: Path) -> None:
    """After a power failure a file of rows can be shorter than the journal says."""
    with FeatureJournal(tmp_path / "j", IDENTITY, FIELDS) as journal:
        stored(journal, "1", block(4, 1))
        stored(journal, "2", block(4, 2))
    os.truncate(row_path(tmp_path / "j", "boxes"), 7 * 16)
    with FeatureJournal(tmp_path / "j", IDENTITY, FIELDS) as journal:
        assert journal.known("1", "digest") is not None
        assert journal.known("2", "digest") is None
        assert stored(journal, "2", block(4, 2)) == ImageRows(4, 4, 64, 48, tmp_path / "j")


def test_rows_in_the_place_of_lost_ones_are_not_those_of_the_lost_image(tmp_path: Path) -> None:
    """Lost rows, then a kill before their image was computed again."""
    path = tmp_path / "j"
    with FeatureJournal(path, IDENTITY, FIELDS) as journal:
        stored(journal, "1", block(4, 1))
        stored(journal, "2", block(4, 2))
    os.truncate(row_path(path, "boxes"), 7 * 16)
    with FeatureJournal(path, IDENTITY, FIELDS) as journal:
        stored(journal, "3", block(6, 3))
    with FeatureJournal(path, IDENTITY, FIELDS) as journal:
        assert journal.known("2", "digest") is None
        rows = [journal.known(image_id, "digest") for image_id in ("1", "3")]
        assert [(each.start, each.count) for each in rows if each] == [(0, 4), (4, 6)]


def test_an_image_that_fails_leaves_no_rows(tmp_path: Path) -> None:
    def failing() -> Iterator[Block]:
        yield block(3, 1)
        raise InputError("too large")

    with FeatureJournal(tmp_path / "j", IDENTITY, FIELDS) as journal:
        with pytest.raises(InputError, match="too large"):
            journal.append(failing(), (64, 48))
        assert stored(journal, "2", block(5, 3)).start == 0


def test_a_full_disk_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only the image: an InputError would skip one image after the other."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with FeatureJournal(tmp_path / "j", IDENTITY, FIELDS) as journal:
        full = open("/dev/full", "wb", buffering=0)  # noqa: SIM115
        monkeypatch.setitem(journal._files, "boxes", full)
        with pytest.raises(Error, match=r"j: cannot be written \(No space left on device\)") as e:
            journal.append([block(3, 1)], (64, 48))
        assert not isinstance(e.value, InputError)


def test_other_settings_and_other_files_are_rejected(tmp_path: Path) -> None:
    with FeatureJournal(tmp_path / "j", IDENTITY, FIELDS) as journal:
        stored(journal, "1", block(4, 1))
    with pytest.raises(InputError, match="differs in its model"):
        FeatureJournal(tmp_path / "j", {"model": "n"}, FIELDS)
    (tmp_path / "d").write_text('{"format":"frcnn detections, unfinished, 1"}\n')
    with pytest.raises(InputError, match="is not a journal of features"):
        FeatureJournal(tmp_path / "d", IDENTITY, FIELDS)
    line = b'{"image_id":"2","digest":"d","start":-1,"count":4,"width":1,"height":1}\n'
    with open(tmp_path / "j", "ab") as file:
        file.write(line)
    with pytest.raises(InputError, match="the file is damaged"):
        FeatureJournal(tmp_path / "j", IDENTITY, FIELDS)


WIDE = {"features": Field(np.dtype("<f4"), (512,)), "boxes": Field(np.dtype("<f4"), (4,))}


def write_many(folder: Path, images: int, suffix: str) -> Callable[[], object]:
    """A function that stores and writes images of 1,000 boxes, 2 MB of features each."""
    values = {name: np.ones((1000, *field.shape), "<f4") for name, field in WIDE.items()}

    def work() -> None:
        with FeatureJournal(folder / "j", IDENTITY, WIDE) as journal:
            stored_images = {
                str(number): stored(journal, str(number), *([values] if number else [values] * 60))
                for number in range(images)
            }
            write_images(folder / f"a{suffix}", stored_images, WIDE, None)
            journal.remove()

    return work


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_memory_does_not_grow_with_the_boxes(tmp_path: Path, suffix: str) -> None:
    """120 and 320 MB of features, 120 MB of them in one image, in less than 60 MB of memory."""
    pytest.importorskip("h5py")
    few, many = (peak_growth(write_many, (tmp_path, count, suffix)) for count in (1, 100))
    assert few < 60e6
    assert many < few + 10e6


@pytest.mark.parametrize(
    ("name", "folder"), [("a.h5", False), ("a.HDF5", False), ("a.npz", False), ("a", True)]
)
def test_the_suffix_decides_the_format(name: str, folder: bool, tmp_path: Path) -> None:
    check_output(tmp_path / name)
    assert is_folder(tmp_path / name) == folder


def test_unusable_outputs_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "a.b").mkdir()
    check_output(tmp_path / "a.b")  # an existing folder
    with pytest.raises(MisuseError, match=r"a\.csv: the suffix decides the format"):
        check_output(tmp_path / "a.csv")
    with pytest.raises(MisuseError, match="file: is a file, not a folder"):
        check_output(tmp_path / "file")
    with pytest.raises(MisuseError, match="contains the proposals"):
        check_output(tmp_path / "a.b", tmp_path / "a.b" / "boxes.npz")

    def missing(name: str) -> Any:
        return None

    monkeypatch.setattr("frcnn_cli.engine.detection.features.files.find_spec", missing)
    with pytest.raises(MisuseError, match="needs the package h5py: pip install h5py"):
        check_output(tmp_path / "a.h5")
