"""Fingerprints of datasets: they survive a move, and tell what has changed."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.fingerprint import Fingerprint
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.records import Dataset
from frcnn_proposals.images import image_digest


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prints") / "shapes"
    generate_dataset(folder, images=12, seed=1, size=(96, 72))
    return folder


def digests_of(dataset: Dataset) -> dict[str, str]:
    return {image.image_id: image_digest(image.path) for image in dataset.images}


def ids_of(dataset: Dataset) -> set[str]:
    return {image.image_id for image in dataset.images}


def test_a_moved_copy_is_the_same(shapes: Path, tmp_path: Path) -> None:
    shutil.copytree(shapes, tmp_path / "shapes")
    first, moved = (find_dataset(str(path), "trainval") for path in (shapes, tmp_path / "shapes"))
    fingerprint = Fingerprint.of(first, digests_of(first))
    assert fingerprint.differences(moved, digests_of(moved)) == []
    assert fingerprint == Fingerprint.of(moved, digests_of(moved))
    assert str(shapes) not in json.dumps(fingerprint.to_json())


def test_it_is_read_back_from_json(shapes: Path) -> None:
    dataset = find_dataset(str(shapes), "train")
    known = {**dict(list(digests_of(dataset).items())[:2]), "of another split": "f" * 64}
    fingerprint = Fingerprint.of(dataset, known)
    assert len(fingerprint.files) == 2
    assert Fingerprint.from_json(json.loads(json.dumps(fingerprint.to_json()))) == fingerprint
    for damaged in (None, 1, {}, {**fingerprint.to_json(), "files": "x"}):
        assert Fingerprint.from_json(damaged) is None


def test_each_change_is_named(shapes: Path) -> None:
    dataset = find_dataset(str(shapes), "trainval")
    digests = digests_of(dataset)
    fingerprint = Fingerprint.of(dataset, digests)
    first, second, *others = dataset.images
    assert first.truth is not None
    swapped = replace(first, truth=replace(first.truth, labels=first.truth.labels % 6 + 1))
    changed = replace(dataset, images=(swapped, replace(second, image_id="new"), *others))
    replaced = {**digests, others[0].image_id: "f" * 64}
    assert fingerprint.differences(changed, replaced) == [
        "1 image was removed",
        "1 image was added (new)",
        f"1 image has another size or other objects ({first.image_id})",
        f"1 image file was replaced ({others[0].image_id})",
    ]
    assert fingerprint.differences(replace(dataset, classes=("a",)), {}) == ["the classes differ"]
    moved = replace(first.truth, boxes=first.truth.boxes + np.float32(1))
    moved_boxes = replace(dataset, images=(replace(first, truth=moved), second, *others))
    assert "another size or other objects" in fingerprint.differences(moved_boxes, {})[0]


def test_images_are_the_same_by_file_or_by_id_within_one_dataset(
    shapes: Path, tmp_path: Path
) -> None:
    train, trainval = (find_dataset(str(shapes), split) for split in ("train", "trainval"))
    fingerprint = Fingerprint.of(train, digests_of(train))
    assert fingerprint.seen_of(trainval, {}) == ids_of(train)  # by id: no file was read
    renamed = replace(trainval, name="elsewhere")
    assert fingerprint.seen_of(renamed, {}) == set()
    assert fingerprint.seen_of(renamed, digests_of(trainval)) == ids_of(train)
    generate_dataset(tmp_path / "shapes", images=12, seed=2, size=(96, 72))
    other = find_dataset(str(tmp_path / "shapes"), "train")
    assert fingerprint.seen_of(other, digests_of(other)) == set()
