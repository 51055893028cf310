"""Whether a model was trained on images of a split."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from reporters import RecordingReporter

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.fingerprint import Fingerprint
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.datasets.readers.voc import VOC_CLASSES
from frcnn_cli.engine.models.initial_detector import origin_from
from frcnn_cli.engine.models.loaded import LoadedModel
from frcnn_cli.engine.models.provenance import (
    earlier_fingerprints,
    training_fingerprints,
    with_dataset,
)
from frcnn_cli.engine.models.seen_images import count_seen, seen_images, trained_on
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Dataset, ImageRecord
from frcnn_cli.engine.settings import DataSettings, Experiment
from frcnn_proposals.images import image_digest


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seen") / "shapes"
    generate_dataset(folder, images=12, seed=1, size=(96, 72))
    return folder


@pytest.mark.parametrize(
    ("trained", "evaluated", "seen"),
    [
        ("trainval", "val", True),
        ("trainval", "train", True),
        ("train", "trainval", True),
        ("train", "train", True),
        ("train", "val", False),
        ("trainval", "test", False),
    ],
)
def test_a_split_is_seen_if_it_shares_an_image(
    shapes: Path, trained: str, evaluated: str, seen: bool
) -> None:
    origin = DataSettings(str(shapes), trained)
    assert trained_on(origin, find_dataset(str(shapes), evaluated)) is seen


def test_a_copy_of_the_images_counts_as_the_same_images(shapes: Path, tmp_path: Path) -> None:
    shutil.copytree(shapes, tmp_path / "copy")
    origin = DataSettings(str(shapes), "trainval")
    assert trained_on(origin, find_dataset(str(tmp_path / "copy"), "val")) is True


def test_other_images_with_the_same_ids_are_not_seen(shapes: Path, tmp_path: Path) -> None:
    generate_dataset(tmp_path / "others", images=12, seed=2, size=(96, 72))
    origin = DataSettings(str(shapes), "trainval")
    assert trained_on(origin, find_dataset(str(tmp_path / "others"), "val")) is False


def test_part_of_a_split_is_seen_without_the_training_images(shapes: Path) -> None:
    """Splits that contain the training split, and images that only the fingerprint knows."""
    trainval, train = (find_dataset(str(shapes), split) for split in ("trainval", "train"))
    training = DataSettings("/nowhere/shapes", "train")
    assert trained_on(training, trainval) is True
    assert count_seen({}, training, trainval, {}) == len(train)
    moved = replace(trainval, name="/elsewhere/shapes")  # cannot be read, so the names decide
    assert trained_on(training, moved) is True
    assert trained_on(training, replace(moved, split="val")) is False
    assert trained_on(training, replace(moved, split="all")) is True


@pytest.mark.parametrize(
    ("name", "folder", "seen"),
    [
        ("voc2007", "images", 3),
        ("voc2012+voc2007", "images", 3),
        ("/data/VOCdevkit/VOC2007", "images", 3),
        ("/data/VOCdevkit", "VOC2007/JPEGImages", 3),
        ("/data/mine", "images", 0),
    ],
)
def test_images_of_voc2007_are_the_same_by_id(name: str, folder: str, seen: int) -> None:
    """Whatever their bytes and annotations, unless the classes show that they are others."""
    ids = ("000001", "000002", "000003", "000004")
    trained = voc_dataset("voc2007", "VOC2007/JPEGImages", ids[:3], width=500)
    digests = {image_id: f"{image_id}{'a' * 58}" for image_id in ids}
    origin = with_dataset({}, Fingerprint.of(trained, digests))
    dataset = voc_dataset(name, folder, ids, width=640)
    others = {image_id: f"{image_id}{'b' * 58}" for image_id in ids}
    training = DataSettings("voc2007", "train")
    for known in (others, {}):
        assert count_seen(origin, training, dataset, known) == seen
        assert bool(trained_on(training, dataset, origin)) == bool(seen)
    mine = replace(dataset, classes=("circle", "square"))
    assert count_seen(origin, training, mine, others) == 0


def voc_dataset(name: str, folder: str, ids: tuple[str, ...], width: int) -> Dataset:
    """A dataset with the classes of VOC, whose files do not exist."""
    images = (ImageRecord(i, Path(f"/nowhere/{folder}/{i}.jpg"), width, 375) for i in ids)
    return Dataset(name, "train", VOC_CLASSES, tuple(images))


def test_a_fingerprint_knows_the_training_images(shapes: Path, tmp_path: Path) -> None:
    trainval, train = (find_dataset(str(shapes), split) for split in ("trainval", "train"))
    digests = {image.image_id: image_digest(image.path) for image in trainval.images}
    origin = with_dataset({}, Fingerprint.of(train, digests))
    training = DataSettings("/nowhere/shapes", "train")
    assert count_seen(origin, training, trainval, {}) == len(train)
    renamed = replace(trainval, name="renamed")
    assert count_seen(origin, training, renamed, digests) == len(train)
    assert count_seen(origin, training, renamed, {}) == 0
    generate_dataset(tmp_path / "shapes", images=12, seed=2, size=(96, 72))
    other = find_dataset(str(tmp_path / "shapes"), "train")
    assert trained_on(training, other, origin) is False
    assert trained_on(training, trainval, origin) is True


@pytest.mark.parametrize(
    ("name", "split", "seen"),
    [("gone/shapes", "trainval", True), ("gone/shapes", "train", False), ("gone", "val", None)],
)
def test_names_decide_if_the_training_images_are_missing(
    shapes: Path, name: str, split: str, seen: bool | None
) -> None:
    origin = DataSettings(f"/nowhere/{name}", split)
    assert trained_on(origin, find_dataset(str(shapes), "val")) is seen


def test_without_an_origin_the_answer_is_unknown(shapes: Path) -> None:
    assert trained_on(DataSettings(), find_dataset(str(shapes), "val")) is None


def test_images_of_an_unknown_start_are_unknown(shapes: Path) -> None:
    """0 seen images would be wrong; those that are known are still counted."""
    train, val = (find_dataset(str(shapes), split) for split in ("train", "val"))
    started = with_dataset({}, Fingerprint.of(train), (None,))
    older = with_dataset({"experiment": {"init": "a.safetensors"}}, Fingerprint.of(train))
    training = DataSettings(str(shapes), "train")
    for origin in (started, older, {"experiment": {"init": "a.safetensors"}}):
        assert count_seen(origin, training, val, {}) is None
        assert trained_on(training, val, origin) is None
        assert count_seen(origin, training, train, {}) == len(train)
        assert trained_on(training, train, origin) is True
    assert count_seen(with_dataset({}, Fingerprint.of(train)), training, val, {}) == 0


def test_a_count_without_an_unknown_start_is_the_least(shapes: Path, small_model: FastRCNN) -> None:
    train = find_dataset(str(shapes), "train")
    for earlier, least in (((None,), "at least "), ((), "")):
        origin = with_dataset({}, Fingerprint.of(train), earlier)
        loaded = LoadedModel(small_model, Path("a.safetensors"), origin, Experiment())
        reporter = RecordingReporter()
        assert seen_images(loaded, train, {}, reporter=reporter) == len(train)
        (warning,) = reporter.warnings
        assert f"was trained on {least}{len(train)} of the {len(train)} images" in warning


def test_an_unknown_start_stays_unknown(
    shapes: Path, small_model: FastRCNN, tmp_path: Path
) -> None:
    """Also for a model that starts from one with an unknown start."""
    train, val = (Fingerprint.of(find_dataset(str(shapes), split)) for split in ("train", "val"))
    path = tmp_path / "a.safetensors"
    save_model(small_model, path, {})
    first = origin_from(str(path), with_dataset({}, train))
    assert earlier_fingerprints(first) == (None,)
    save_model(small_model, path, first)
    second = origin_from(str(path), with_dataset({}, val))
    assert earlier_fingerprints(second) == (train, None)
    assert training_fingerprints(second) == (val, train)
