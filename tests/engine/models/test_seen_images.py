"""Whether a model has seen a split."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.models.provenance import trained_on
from frcnn_cli.engine.settings import DataSettings


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seen") / "shapes"
    generate_dataset(folder, images=12, seed=1, size=(96, 72))
    return folder


@pytest.mark.parametrize(
    ("trained", "judged", "seen"),
    [
        ("trainval", "val", True),
        ("trainval", "train", True),
        ("train", "trainval", True),
        ("train", "train", True),
        ("train", "val", False),
        ("trainval", "test", False),
    ],
)
def test_a_split_is_seen_where_it_shares_an_image(
    shapes: Path, trained: str, judged: str, seen: bool
) -> None:
    origin = DataSettings(str(shapes), trained)
    assert trained_on(origin, find_dataset(str(shapes), judged)) is seen


def test_a_copy_of_the_images_is_the_same_images(shapes: Path, tmp_path: Path) -> None:
    shutil.copytree(shapes, tmp_path / "copy")
    origin = DataSettings(str(shapes), "trainval")
    assert trained_on(origin, find_dataset(str(tmp_path / "copy"), "val")) is True


def test_the_same_ids_of_other_images_are_not(shapes: Path, tmp_path: Path) -> None:
    generate_dataset(tmp_path / "others", images=12, seed=2, size=(96, 72))
    origin = DataSettings(str(shapes), "trainval")
    assert trained_on(origin, find_dataset(str(tmp_path / "others"), "val")) is False


@pytest.mark.parametrize(
    ("name", "split", "seen"),
    [("gone/shapes", "trainval", True), ("gone/shapes", "train", False), ("gone", "val", None)],
)
def test_names_decide_where_the_training_images_are_gone(
    shapes: Path, name: str, split: str, seen: bool | None
) -> None:
    origin = DataSettings(f"/nowhere/{name}", split)
    assert trained_on(origin, find_dataset(str(shapes), "val")) is seen


def test_an_origin_that_says_nothing_is_not_taken_for_clean(shapes: Path) -> None:
    assert trained_on(DataSettings(), find_dataset(str(shapes), "val")) is None
