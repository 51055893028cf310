"""The outputs of `frcnn detect` in addition to JSON, in images and in a video."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
import torch
from called import frcnn

from frcnn_cli.engine.detection.journal import Journal
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, Preprocessing
from frcnn_kernels import batched_nms

WIDTH, HEIGHT = 128, 96
CLASSES = ("cat", "dog", "traffic light")
DETECT = ("--model", "model.safetensors", "--source", "dense", "--score-threshold", "0")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained model, images, two of them in a sub-folder, and a video."""
    folder = tmp_path_factory.mktemp("outputs")
    torch.manual_seed(0)
    small = Preprocessing(scale=64, max_size=120)
    model = FastRCNN(Architecture("efficientnet_lite0", CLASSES, (16, 16), small))
    save_model(model, folder / "model.safetensors", {})
    (folder / "photos" / "sub").mkdir(parents=True)
    for index, name in enumerate(("a", "b", "sub/a", "sub/c")):
        pixels = np.random.default_rng(index).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(folder / "photos" / f"{name}.png")
    codec = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(folder / "drive.avi"), codec, 10, (WIDTH, HEIGHT))
    for _ in range(3):
        writer.write(pixels)
    writer.release()
    return folder


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


def detect(*arguments: object, code: int = 0) -> str:
    result = frcnn("detect", *arguments, *DETECT)
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def read_csv(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def corners(entry: dict[str, Any]) -> list[float]:
    x, y, width, height = entry["bbox"]
    return [x, y, x + width - 1, y + height - 1]


def by_image(entries: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for name in ("a", "b", "sub/a", "sub/c"):
        yield name, [entry for entry in entries if entry["image_id"] == name]


def test_all_outputs_hold_the_detections_of_the_json(tmp_path: Path) -> None:
    detect(
        "photos", "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv",
        "--yolo", tmp_path / "yolo", "--save-crops", tmp_path / "crops",
        "--viz", "--out", tmp_path / "drawn",
    )  # fmt: skip
    entries = json.loads((tmp_path / "a.json").read_text())
    assert len(entries) > 20
    rows = read_csv(tmp_path / "a.csv")
    assert [row["image"] for row in rows] == [entry["image_id"] for entry in entries]
    assert [row["class"] for row in rows] == [entry["category"] for entry in entries]
    assert [float(row["score"]) for row in rows] == [entry["score"] for entry in entries]
    np.testing.assert_allclose(
        [[float(row[name]) for name in ("x1", "y1", "x2", "y2")] for row in rows],
        [corners(entry) for entry in entries],
        atol=1e-9,
    )
    assert (tmp_path / "yolo" / "classes.txt").read_text().splitlines() == list(CLASSES)
    assert len(list((tmp_path / "crops").rglob("*.jpg"))) == len(entries)
    for name, expected in by_image(entries):
        assert (tmp_path / "drawn" / f"{name}.jpg").is_file()
        lines = (tmp_path / "yolo" / f"{name}.txt").read_text().splitlines()
        numbers = [[float(word) for word in line.split()] for line in lines]
        # COCO's bbox is continuous, as YOLO's is: the centre is the corner and half the size.
        centred = [
            [
                entry["category_id"] - 1,
                (entry["bbox"][0] + entry["bbox"][2] / 2) / WIDTH,
                (entry["bbox"][1] + entry["bbox"][3] / 2) / HEIGHT,
                entry["bbox"][2] / WIDTH,
                entry["bbox"][3] / HEIGHT,
                entry["score"],
            ]
            for entry in expected
        ]
        np.testing.assert_allclose(numbers, centred, atol=1e-5)
        for number, entry in enumerate(expected, start=1):
            crop = PIL.Image.open(tmp_path / "crops" / entry["category"] / f"{name}-{number}.jpg")
            assert crop.size == pytest.approx(entry["bbox"][2:], abs=1.01)
    leftover = [path for path in tmp_path.rglob("*") if "partial" in path.name]
    assert leftover == []


def test_classes_filter_every_output(tmp_path: Path) -> None:
    detect("photos/a.png", "--json", tmp_path / "all.json")
    everything = json.loads((tmp_path / "all.json").read_text())
    printed = detect(
        "photos/a.png", "--classes", "traffic light, cat", "--json", tmp_path / "some.json",
        "--csv", tmp_path / "some.csv", "--save-crops", tmp_path / "crops",
    )  # fmt: skip
    some = json.loads((tmp_path / "some.json").read_text())
    assert {entry["category"] for entry in everything} == set(CLASSES)
    assert some == [entry for entry in everything if entry["category"] != "dog"]
    assert {row["class"] for row in read_csv(tmp_path / "some.csv")} == {"cat", "traffic light"}
    assert sorted(path.name for path in (tmp_path / "crops").iterdir()) == ["cat", "traffic light"]
    assert "dog" not in printed


def test_an_unknown_class_is_an_error_before_detection(tmp_path: Path) -> None:
    message = detect("photos", "--classes", "cat,dgo", "--json", tmp_path / "a.json", code=2)
    assert "The model has no class 'dgo'. Did you mean 'dog'?" in message
    assert list(tmp_path.iterdir()) == []
    assert "person,dog" in detect("photos", "--classes", " ,", code=2)


def test_nms_iou_is_the_threshold_of_suppression(tmp_path: Path) -> None:
    """With 1 nothing is suppressed; with 0.1 the result is that of the operator."""
    for iou in ("1", "0.1"):
        detect("photos/a.png", "--nms-iou", iou, "--top-k", 100000, "--json", tmp_path / iou)
    every, few = (json.loads((tmp_path / iou).read_text()) for iou in ("1", "0.1"))
    boxes = torch.tensor([corners(entry) for entry in every]) + torch.tensor([0.0, 0, 1, 1])
    scores = torch.tensor([entry["score"] for entry in every])
    labels = torch.tensor([entry["category_id"] for entry in every])
    kept = batched_nms(boxes, scores, labels, 0.1)
    assert 0 < len(few) < len(every)
    assert few == [every[index] for index in kept]


def test_a_resumed_run_writes_the_missing_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = ("--yolo", tmp_path / "yolo", "--save-crops", tmp_path / "crops",
               "--csv", tmp_path / "a.csv", "--json", tmp_path / "a.json")  # fmt: skip
    detect("photos", *outputs)
    expected = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    add = Journal.add
    added: list[str] = []

    def interrupt(journal: Journal, image_id: str, *rest: Any) -> None:
        add(journal, image_id, *rest)
        added.append(image_id)
        if len(added) == 2:
            raise KeyboardInterrupt  # in the journal, and not written yet

    for path in expected:
        path.unlink()
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "add", interrupt)
        detect("photos", *outputs, code=130)
    assert "2 images are done" in detect("photos", *outputs)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == expected


def test_inputs_in_the_folder_of_crops_are_rejected(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(Path("photos").resolve())
    for folder in ("photos", ".", link):
        assert "Choose another folder" in detect("photos", "--save-crops", folder, code=2)
    assert len(list(Path("photos").rglob("*.*"))) == 4


def test_annotations_are_not_replaced_by_yolo_texts() -> None:
    label = Path("photos/a.txt")
    label.write_text("0 0.5 0.5 0.1 0.1\n")
    assert "may be an annotation" in detect("photos", "--yolo", "photos", code=2)
    assert label.read_text() == "0 0.5 0.5 0.1 0.1\n"
    label.unlink()


def test_an_image_id_leads_to_no_file_outside_the_output_folder(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for folder in ("ImageSets/Main", "JPEGImages", "Annotations"):
        (data / folder).mkdir(parents=True)
    (data / "ImageSets" / "Main" / "test.txt").write_text("../holiday\n")
    holiday = data / "holiday.jpg"
    PIL.Image.new("RGB", (WIDTH, HEIGHT), "green").save(holiday)
    photo = tmp_path / "holiday.jpg"
    photo.write_bytes(b"precious")
    message = detect(data, "--viz", "--out", tmp_path / "drawn", code=1)
    assert "test.txt: unusable image id '../holiday'" in message
    assert photo.read_bytes() == b"precious"


def test_outputs_of_a_video(tmp_path: Path) -> None:
    detect(
        "drive.avi", "--out", tmp_path, "--csv", tmp_path / "a.csv", "--classes", "cat",
        "--yolo", tmp_path / "yolo", "--save-crops", tmp_path / "crops",
    )  # fmt: skip
    entries = json.loads((tmp_path / "drive.json").read_text())
    rows = read_csv(tmp_path / "a.csv")
    assert {entry["category"] for entry in entries} == {"cat"}
    assert [int(row["image"]) for row in rows] == [entry["image_id"] for entry in entries]
    assert [float(row["score"]) for row in rows] == [entry["score"] for entry in entries]
    names = [f"drive-{frame:06d}" for frame in range(3)]
    texts = sorted(path.stem for path in (tmp_path / "yolo").iterdir())
    assert texts == ["classes", *names]
    lines = [len((tmp_path / "yolo" / f"{name}.txt").read_text().splitlines()) for name in names]
    assert lines == [sum(e["image_id"] == frame for e in entries) for frame in range(3)]
    assert len(list((tmp_path / "crops" / "cat").iterdir())) == len(entries)
