"""`frcnn train --init voc`: classes of the same name are carried over, and so is what was seen."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from called import frcnn
from small_package import ship

import frcnn as library
from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.models import initial_detector
from frcnn_cli.engine.models.initial_detector import note_start
from frcnn_cli.engine.models.provenance import training_fingerprints
from frcnn_cli.engine.models.store import load_model
from frcnn_cli.engine.network.layers.box_head import BoxHead
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.reporter import Silent
from frcnn_cli.engine.settings import Experiment, TrainSettings

# One iteration that changes no digit of the weights that are compared.
STILL = ("--iterations", 1, "--learning-rate", 1e-12, "--workers", 0, "--source", "dense")
RENAMED = {"disc": "bus", "star": "car"}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A detector with both parts, trained on `shapes`. `mine` has other images and classes."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("FRCNN_CACHE", str(tmp_path / "cache"))
    library.generate_dataset("shapes", 8, size=(96, 72))
    library.generate_dataset("mine", 8, size=(96, 72), seed=1)
    rename(Path("mine"))
    return ship(tmp_path / "package", monkeypatch, "shapes", parts=True)


def rename(folder: Path) -> None:
    """Give two classes of a generated dataset names that the detector does not know."""
    for path in (folder / "classes.txt", *(folder / "Annotations").iterdir()):
        text = path.read_text()
        for old, new in RENAMED.items():
            text = text.replace(old, new)
        path.write_text(text)


def fine_tuned(dataset: str, *options: object) -> tuple[FastRCNN, str]:
    result = frcnn("train", dataset, "--init", "voc", *STILL, "--out", "runs/fine", *options)
    assert result.exit_code == 0, result.output
    return load_model(Path("runs/fine/model.safetensors"))[0], result.stderr


def test_classes_of_the_same_name_predict_as_before(package: Path) -> None:
    """In both heads, whatever their order. The ranker and all other layers are the detector's."""
    model, printed = fine_tuned("mine")
    before, _ = load_model(package)
    line = "Starting from voc, shipped with frcnn, which knows 4 of the 6 classes; new: bus, car"
    assert line in printed.splitlines()
    old_names, names = before.architecture.classes, model.architecture.classes
    assert set(names) == {RENAMED.get(name, name) for name in old_names}
    for name in ("ranker.hidden.weight", "second.fc6.weight", "second.box.weight", "fc7.weight"):
        assert torch.allclose(model.state_dict()[name], before.state_dict()[name], atol=1e-6)
    for head, old_head in zip(model.heads, before.heads, strict=True):
        for name in set(names) & set(old_names):
            new, old = names.index(name), old_names.index(name)
            rows = head.score.weight[[0, new + 1]], old_head.score.weight[[0, old + 1]]
            assert torch.allclose(*rows, atol=1e-6)
            assert torch.allclose(
                box_rows(head, new), box_rows(old_head, old), rtol=1e-3, atol=1e-6
            )
        for name in RENAMED.values():
            assert 0 < head.score.weight[names.index(name) + 1].std() < 0.02


def box_rows(head: BoxHead, index: int) -> torch.Tensor:
    """The rows of a class in the box layer, in the units of the offsets."""
    rows = head.box.weight.view(-1, 4, head.box.in_features)
    return rows[0 if head.shares_boxes else index] * head.offset_deviations[index][:, None]


def test_the_detectors_training_images_are_remembered(package: Path) -> None:
    """By a model that starts from it, and by one that starts from that one."""
    library.generate_dataset("others", 8, size=(96, 72), seed=2)
    _, printed = fine_tuned("others")
    assert "voc, shipped with frcnn, which knows all 6 classes" in printed
    again = ("train", "others", "--init", "fine", *STILL, "--out", "runs/again")
    assert "which knows all 6 classes" in frcnn(*again).stderr
    for run, count in (("fine", 2), ("again", 3)):
        _, origin = load_model(Path("runs") / run / "model.safetensors")
        assert len(training_fingerprints(origin)) == count
        result = frcnn("eval", run, "shapes", "--split", "train")
        assert result.exit_code == 0, result.output
        assert f"runs/{run}/model.safetensors was trained on 5 of the 5 images" in result.stderr
    assert "was trained on" not in frcnn("eval", "again", "shapes", "--split", "test").stderr


class Notes(Silent):
    """A reporter that records notes."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def notes_of(experiment: Experiment) -> list[str]:
    notes = Notes()
    note_start(experiment, find_dataset("mine", "train"), notes)
    return notes.lines


def test_small_datasets_are_told_of_the_shipped_detector(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only if `--init voc` is all that is needed, and the detector knows one of the classes."""
    train = TrainSettings(cascade_iou=0.6, ranked_rois=256)
    small = Experiment(backbone="efficientnet_lite0", train=train)
    line = (
        "Fewer than 300 images: `--init voc` is probably better. The shipped detector knows 4 of "
        "the 6 classes; new: bus, car"
    )
    assert notes_of(small) == [line]
    one_head = Experiment(backbone="efficientnet_lite0")
    for other in (one_head, Experiment(train=train), Experiment(weights="none", train=train)):
        assert notes_of(other) == []
    monkeypatch.setattr(initial_detector, "FEW_IMAGES", 5)  # the dataset has five images
    assert notes_of(small) == []
    monkeypatch.setattr(initial_detector, "FEW_IMAGES", 300)
    rename_all_classes()
    assert notes_of(small) == []
    package.unlink()
    assert notes_of(small) == []


def rename_all_classes() -> None:
    new = ("a", "b", "c", "d", "e", "f")
    for path in (Path("mine/classes.txt"), *Path("mine/Annotations").iterdir()):
        text = path.read_text()
        old = ("bus", "square", "triangle", "car", "ring", "cross")
        for name, other in zip(old, new, strict=True):
            text = text.replace(f"<name>{name}<", f"<name>{other}<").replace(
                f"{name}\n", other + "\n"
            )
        path.write_text(text)


def test_a_detector_without_a_class_of_the_dataset_is_a_start_too(package: Path) -> None:
    rename_all_classes()
    experiment = Experiment(backbone="efficientnet_lite0", init="voc")
    assert notes_of(experiment) == [
        "Starting from voc, shipped with frcnn, which knows none of the 6 classes"
    ]
