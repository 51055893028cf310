"""Batches of columns, as Ray Data, Spark, Dask and a DataLoader map them."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from called import frcnn as command
from torch.utils.data import DataLoader, Dataset

import frcnn
from frcnn_cli.engine.detection.results import coco_entries
from frcnn_cli.engine.parts.folder import open_folder
from frcnn_cli.engine.parts.rows import Item
from frcnn_cli.engine.parts.run import write_parts
from frcnn_proposals.formats.parts.about import About

IMAGES = Path("shapes/JPEGImages")


@pytest.fixture
def detector(at_home: Path) -> frcnn.Detector:
    return frcnn.Detector.load("runs/small")


@pytest.fixture
def expected(at_home: Path, tmp_path: Path) -> list[dict[str, Any]]:
    """What the command writes."""
    file = tmp_path / "detections.json"
    result = command("detect", IMAGES, "--model", "runs/small", "--json", file)
    assert result.exit_code == 0, result.output
    return json.loads(file.read_text())


def batch_of(paths: list[Path]) -> dict[str, Any]:
    return {"id": [path.stem for path in paths], "bytes": [path.read_bytes() for path in paths]}


def entries(columns: dict[str, list[Any]], classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """The detections as the command writes them."""
    assert columns["error"] == [None] * len(columns["id"])
    found = []
    for name, boxes, scores, labels in zip(
        *(columns[key] for key in ("id", "boxes", "scores", "labels")), strict=True
    ):
        one = frcnn.Detections(
            np.asarray(boxes, np.float32), np.asarray(scores, np.float32), np.asarray(labels)
        )
        found += coco_entries(name, one, classes)
    return found


def all_images() -> list[Path]:
    return sorted(IMAGES.iterdir())


@pytest.mark.parametrize("kind", ["bytes", "path", "image", "object arrays", "with boxes"])
def test_a_batch_is_the_command(
    kind: str, detector: frcnn.Detector, expected: list[dict[str, Any]]
) -> None:
    paths = all_images()
    batch = batch_of(paths)
    if kind == "path":
        batch = {"id": batch["id"], "path": [str(path) for path in paths]}
    elif kind == "image":
        pixels = [np.asarray(PIL.Image.open(path).convert("RGB")) for path in paths]
        batch = {"id": batch["id"], "image": np.stack(pixels)}
    elif kind == "object arrays":
        batch = {name: np.array(values, object) for name, values in batch.items()}
    elif kind == "with boxes":
        proposals = frcnn.Proposer("dense")(batch)
        boxes = np.empty(len(paths), object)
        boxes[:] = proposals["boxes"]
        batch["boxes"] = boxes
    assert entries(detector(batch), detector.class_names) == expected
    assert len(expected) > 0


def test_a_bad_image_is_a_row_with_its_error(detector: frcnn.Detector) -> None:
    good = all_images()[0].read_bytes()
    images = [b"nothing", good, good[:300], None, "text", np.zeros((2, 3, 5)), bytearray(good)]
    boxes = [None, [[0, 0, 9, 9]], None, None, None, None, [[0, 0, 900, 9]]]
    found = detector({"id": list(range(7)), "image": images, "boxes": boxes})
    assert found["id"] == list(range(7))
    messages = found.pop("error")
    assert messages[1] is None
    for index, words in {
        0: "0: cannot be read as an image",
        2: "2: cannot be read as an image",
        3: "not NoneType",
        4: "text: image file not found",
        5: "array of float64",
        6: "outside",
    }.items():
        assert words in messages[index]
        assert found["boxes"][index] is found["labels"][index] is None
    assert len(found["boxes"][1]) > 0


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([b"nothing"], "mapping"),
        ({}, "not none"),
        ({"id": [1]}, "not id"),
        ({"path": ["a.jpg"]}, "not path"),
        ({"id": [1], "path": []}, "different lengths: 1, 0 and 1"),
        ({"id": [1], "path": ["a"], "boxes": []}, "different lengths"),
    ],
)
def test_no_batch(batch: Any, message: str, detector: frcnn.Detector) -> None:
    for function in (detector, frcnn.Proposer("dense")):
        with pytest.raises(frcnn.MisuseError, match=message):
            function(batch)


class Rows(Dataset):
    """The images, read in the processes of a DataLoader."""

    def __init__(self, function: Any) -> None:
        self.paths, self.function = [path.resolve() for path in all_images()], function

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, list[Any]]:
        return self.function(batch_of([self.paths[index]]))


def joined(batches: Any) -> dict[str, list[Any]]:
    together: dict[str, list[Any]] = {}
    for batch in batches:
        for name, values in batch.items():
            together.setdefault(name, []).extend(values)
    return together


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_processes_of_a_loader(
    method: str, detector: frcnn.Detector, expected: list[dict[str, Any]]
) -> None:
    fresh = pickle.loads(pickle.dumps(detector))  # its weights are loaded by each process
    loader = DataLoader(Rows(fresh), None, num_workers=1, multiprocessing_context=method)
    assert entries(joined(loader), detector.class_names) == expected


def test_another_process(detector: frcnn.Detector, expected: list[dict[str, Any]]) -> None:
    proposer = frcnn.Proposer("selective-search", {"mode": "fast"})
    batch = batch_of(all_images())
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found, boxes = pool.map(call, [(detector, batch), (proposer, batch)])
    assert entries(found, detector.class_names) == expected
    own = proposer(batch)
    assert boxes.keys() == {"id", "boxes", "scores", "error"}
    for name in ("boxes", "scores"):
        for there, here in zip(boxes[name], own[name], strict=True):
            np.testing.assert_array_equal(there, here)


def call(work: tuple[Any, Any]) -> Any:
    function, batch = work
    return function(batch)


def test_proposals_are_those_of_the_command(at_home: Path, tmp_path: Path) -> None:
    result = command("propose", IMAGES, "--out", tmp_path / "a.proposals", "--workers", 1)
    assert result.exit_code == 0, result.output
    stored = frcnn.read_proposals(tmp_path / "a.proposals")
    found = frcnn.Proposer()(batch_of(all_images()))
    assert found["id"] == sorted(stored)
    for name, boxes, scores in zip(found["id"], found["boxes"], found["scores"], strict=True):
        np.testing.assert_array_equal(boxes, stored[name].boxes)
        np.testing.assert_array_equal(scores, stored[name].scores)


def test_weights_are_not_pickled_so_a_changed_file_is_an_error(
    at_home: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model.safetensors"
    shutil.copy("runs/small/model.safetensors", model)
    detector, other = frcnn.Detector.load(model), frcnn.Detector.load(model)
    sent = pickle.dumps(detector)
    model.write_bytes(model.read_bytes() + b" ")
    for changed in (lambda: pickle.dumps(other), lambda: pickle.loads(sent).class_names):
        with pytest.raises(frcnn.InputError, match="has changed since"):
            changed()
    shutil.copy("runs/small/model.safetensors", model)
    assert pickle.loads(pickle.dumps(pickle.loads(sent))).class_names == detector.class_names
    with pytest.raises(frcnn.InputError, match="cannot be read"):
        model.unlink() or pickle.loads(sent).class_names


def test_a_shipped_model_travels_by_its_name() -> None:
    detector = frcnn.Detector.load("voc")
    sent = pickle.dumps(detector)
    assert str(detector.path.parent).encode() not in sent
    assert pickle.loads(sent) == detector


def test_a_proposer_rejects_what_it_cannot_use() -> None:
    with pytest.raises(frcnn.MisuseError, match="is for videos"):
        frcnn.Proposer("tracked")
    source = frcnn.Proposer("dense").source
    with pytest.raises(frcnn.MisuseError, match="this one is a DenseBoxes"):
        frcnn.Proposer(source, {"nope": 1})
    with pytest.raises(frcnn.MisuseError, match="this one is a DenseBoxes"):
        frcnn.propose("a", "b", source=source, parameters={"nope": 1})


def test_clipped_boxes_are_counted(at_home: Path, tmp_path: Path) -> None:
    class Wide(type(frcnn.Proposer("dense").source)):  # type: ignore[misc]
        def propose(self, image: np.ndarray) -> frcnn.Proposals:
            return frcnn.Proposals(np.array([[-5, 0, 9, 9], [0, 0, 9, 9]], np.float32))

    items = [Item(path.stem, str(path)) for path in all_images()]
    folder = open_folder(tmp_path, About("proposals", {}), items, "jsonl", size=2)
    result = write_parts(frcnn.Proposer(Wide()), folder, "")
    (one, more), count = next(iter(result.notices.items()))
    assert (count, len(result.notices)) == (len(items), 1)
    assert more == "boxes of dense reached outside the image and were clipped or removed."
    assert one == "box of dense reached outside the image and was clipped or removed."
