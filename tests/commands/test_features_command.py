"""`frcnn features`: its files, its errors, and child processes that are killed and resumed."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from called import frcnn as command
from full_disk import no_file_may_exceed
from slowed import start_slowly, stop_after
from team_processes import torchrun

import frcnn
from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.detection.features import run as features_run
from frcnn_cli.engine.detection.features.files import write_image
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, Preprocessing

IMAGES = 30
COMMON = ("features", "shapes/JPEGImages", "--model", "model.safetensors")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, proposals and an untrained model of its classes."""
    folder = tmp_path_factory.mktemp("home")
    generate_dataset(folder / "shapes", images=IMAGES, size=(128, 96))
    frcnn.propose(folder / "shapes", folder / "shapes.proposals", source="dense", workers=0)
    classes = find_dataset(str(folder / "shapes"), "trainval").classes
    torch.manual_seed(0)
    small = Preprocessing(scale=64, max_size=120)
    model = FastRCNN(Architecture("efficientnet_lite0", classes, (24, 16), small))
    save_model(model, folder / "model.safetensors", {})
    return folder


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


def run(*arguments: object, code: int = 0) -> str:
    result = command(*arguments)
    assert result.exit_code == code, result.output
    return result.output


def test_boxes_of_a_file_in_every_kind_of_output(home: Path, tmp_path: Path) -> None:
    proposals = frcnn.read_proposals(home / "shapes.proposals")
    given = (*COMMON, "--proposals", "shapes.proposals", "--max-boxes", 50)
    output = run(*given, "--out", tmp_path / "a.npz")
    assert f"Features of {50 * IMAGES} boxes in {IMAGES} images" in output
    run(*given, "--out", tmp_path / "folder")
    whole = np.load(tmp_path / "a.npz")
    assert whole["image_id"].tolist() == [f"{number:06}" for number in range(1, IMAGES + 1)]
    for image_id, (first, last) in zip(whole["image_id"], whole["pos_boxes"], strict=True):
        own = np.load(tmp_path / "folder" / f"{image_id}.npz")
        assert np.array_equal(own["boxes"], proposals[image_id].top(50).boxes)
        for name in ("boxes", "features", "cls_prob", "objects_id", "objects_conf"):
            assert np.array_equal(own[name], whole[name][first:last])
    assert whole["features"].shape == (50 * IMAGES, 16)
    names = (tmp_path / "folder" / "classes.txt").read_text().splitlines()
    assert names == whole["classes"].tolist()
    assert not list(tmp_path.glob("*.partial*"))
    (tmp_path / "folder" / "classes.txt").write_text("others\n")
    assert "lists other classes" in run(*given, "--out", tmp_path / "folder", code=2)
    assert (tmp_path / "folder" / "classes.txt").read_text() == "others\n"


def test_the_best_boxes_of_the_detector(home: Path, tmp_path: Path) -> None:
    limits = ("--source", "dense", "--boxes", "detections", "--min-boxes", 3, "--max-boxes", 5)
    run(*COMMON, *limits, "--layer", "pooled", "--dtype", "float16", "--out", tmp_path / "a.npz")
    found = np.load(tmp_path / "a.npz")
    assert found["features"].dtype == np.float16
    assert found["features"].shape[1:] == (128, 7, 7)
    assert ((found["num_boxes"] >= 3) & (found["num_boxes"] <= 5)).all()
    assert (np.diff(found["scores"][: found["num_boxes"][0]]) <= 0).all()


def test_python_gives_the_same_features(home: Path, tmp_path: Path) -> None:
    run(*COMMON, "--proposals", "shapes.proposals", "--layer", "fc6", "--out", tmp_path / "a.npz")
    images, proposals = Path("shapes/JPEGImages"), "shapes.proposals"
    frcnn.extract_features(
        images, tmp_path / "b.npz", model="model.safetensors", proposals=proposals, layer="fc6"
    )
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    whole = np.load(tmp_path / "a.npz")
    first = whole["pos_boxes"][0][1]
    detector = frcnn.Detector.load("model.safetensors")
    path = images / "000001.jpg"
    one = detector.features(path, frcnn.read_proposals(proposals), layer="fc6")
    assert (one.image_id, one.image_w, one.image_h, len(one)) == ("000001", 128, 96, first)
    for name in ("boxes", "features", "scores", "cls_prob", "objects_id", "objects_conf"):
        assert np.array_equal(getattr(one, name), whole[name][:first], equal_nan=name == "scores")
    two = detector.features(path, one.boxes[:2], layer="pooled", dtype="float16")
    assert two.features.shape == (2, 128, 7, 7)
    assert len(detector.features(path, [])) == 0
    assert 10 <= len(detector.features(path)) <= 100


@pytest.mark.parametrize("network", ["resnet18", "mobilenet_v3_small"])
def test_a_torchvision_network_without_training(network: str, home: Path, tmp_path: Path) -> None:
    """Its map equals that of torchvision's own layers, pooled by torchvision."""
    ops = pytest.importorskip("torchvision.ops")
    if not hasattr(torch.ops.torchvision, "roi_pool"):
        pytest.skip("torchvision's operators cannot be loaded with this torch")
    torch.manual_seed(0)
    torch.save(torchvision.models.get_model(network).state_dict(), tmp_path / "weights.pth")
    image = "shapes/JPEGImages/000001.jpg"
    arguments = ("--backbone", f"torchvision:{network}", "--weights", tmp_path / "weights.pth")
    given = ("features", image, *arguments, "--source", "dense", "--max-boxes", 20)
    run(*given, "--out", tmp_path / "a.npz")
    found = np.load(tmp_path / "a.npz")
    assert set(found) == {
        *("image_id", "image_w", "image_h", "num_boxes", "pos_boxes"),
        *("boxes", "scores", "features"),
    }
    from frcnn_cli.engine.models.backbone import open_backbone
    from frcnn_cli.engine.network.transforms import batch_images, batch_rois, image_tensor
    from frcnn_proposals.images import read_image

    name, weights = f"torchvision:{network}", str(tmp_path / "weights.pth")
    model = open_backbone(name, torch.device("cpu"), weights).model
    pixels, factor = image_tensor(read_image(image), model.architecture.preprocessing)
    with torch.inference_mode():
        maps = model.features(batch_images([pixels])).contiguous()
        rois = batch_rois([found["boxes"]], [factor])
        expected = ops.roi_pool(maps, rois, model.pooled, 1 / model.stride)
    np.testing.assert_allclose(found["features"], expected, rtol=1e-3, atol=1e-4)
    assert "has no ImageNet weights for fc6 and fc7" in run(
        *given, "--layer", "fc7", "--out", tmp_path / "b.npz", code=2
    )


def start(*arguments: object) -> subprocess.Popen[str]:
    return start_slowly("frcnn_cli.engine.detection.features.rows", "FeatureJournal", *arguments)


@pytest.mark.parametrize(
    ("name", "how"), [("a.npz", signal.SIGKILL), ("a.h5", signal.SIGINT), ("a", signal.SIGKILL)]
)
def test_a_stopped_run_is_resumed_to_the_same_file(name: str, how: Any, tmp_path: Path) -> None:
    given = (*COMMON, "--proposals", "shapes.proposals", "--max-boxes", 40)
    whole, stopped = tmp_path / "whole" / name, tmp_path / "stopped" / name
    run(*given, "--out", whole)
    journal = stopped.with_name(f"{name}.partial")
    output = stop_after(start(*given, "--out", stopped), 4, lambda: journal, how)
    if how is signal.SIGINT:
        assert "run the same command to resume" in output
        assert "Traceback" not in output
    finished = journal.read_bytes().count(b"\n") - 1
    assert 3 <= finished < IMAGES
    assert "differs in its features" in run(*given, "--layer", "fc6", "--out", stopped, code=1)
    assert f"{finished} images are done" in run(*given, "--out", stopped)
    assert contents(stopped.parent) == contents(whole.parent)


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_two_processes_write_the_same_file(home: Path, tmp_path: Path) -> None:
    given = (*COMMON, "--proposals", "shapes.proposals", "--max-boxes", 40)
    child = subprocess.run(
        [*torchrun(2, "-m", "frcnn_cli"), *map(str, (*given, "--out", tmp_path / "b.npz"))],
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert child.returncode == 0, child.stderr
    run(*given, "--out", tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert not list(tmp_path.glob("*.partial*"))


def test_a_full_disk_ends_the_run(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of a folder: those that fit are kept, and no others are computed."""
    given = (*COMMON, "--proposals", "shapes.proposals", "--max-boxes", 40, "--out")
    written: list[Path] = []

    def write(path: Path, *others: Any) -> None:
        written.append(path)
        with nullcontext() if len(written) < 3 else no_file_may_exceed(100):
            write_image(path, *others)

    with monkeypatch.context() as patch:
        patch.setattr(features_run, "write_image", write)
        output = run(*given, tmp_path / "a", code=1)
    assert len(written) == 3
    assert f"{written[-1]}: cannot be written" in output
    assert "2 images are done" in run(*given, tmp_path / "a")
    run(*given, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_images_that_fail_are_named_and_the_others_written(home: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_text("no image")
    (tmp_path / "in" / "b.jpg").write_bytes(Path("shapes/JPEGImages/000001.jpg").read_bytes())
    given = ("features", tmp_path / "in", *COMMON[2:], "--source", "dense")
    output = run(*given, "--out", tmp_path / "a.npz", code=1)
    assert "a.jpg" in output
    assert np.load(tmp_path / "a.npz")["image_id"].tolist() == ["b"]
    (tmp_path / "in" / "b.jpg").write_text("no image")
    for name in ("b.npz", "b.h5", "b"):
        output = run(*given, "--out", tmp_path / name, code=1)
        assert "a.jpg" in output
        assert "Features of" not in output
    assert not list(tmp_path.glob("b*"))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("--out a.csv", 2, "the suffix decides the format"),
        ("--out shapes.proposals", 2, "the suffix decides the format"),
        ("--out a.npz --backbone torchvision:resnet18", 2, "give only one"),
        ("--out a.npz --weights none", 2, "give --backbone, too"),
        ("--out a.npz --proposals nowhere", 1, "nowhere"),
        ("--out a.npz --proposals shapes.proposals --source dense", 2, "give only one"),
        ("--out a.npz --source dense --min-boxes 3", 2, "Add --boxes detections"),
        ("--out a.npz --source dense --nms-iou 0.5", 2, "Add --boxes detections"),
        ("--out a.npz --layer fc8", 2, "fc8"),
        ("--out a.npz --max-proposals 5", 2, "max_proposals has no effect"),
        ("--out a.npz --source tracked", 2, "is for videos and cameras"),
        ("--out folder --source tracked", 2, "is for videos and cameras"),
    ],
)
def test_errors(words: str, code: int, message: str) -> None:
    assert message in " ".join(run(*COMMON, *words.split(), code=code).split())
    assert not [*Path().glob("a.npz*"), *Path().glob("folder*")]  # nor files of unfinished work


def test_a_backbone_with_random_layers_needs_training() -> None:
    given = ("features", "shapes/JPEGImages", "--backbone", "efficientnet_lite0")
    assert "layers without ImageNet weights" in run(*given, "--out", "a.npz", code=2)
