"""The script of docs/export.md, which detects without this package."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_detector import make_detector, proposals_in
from test_exported_models import page_script, real_images, script

from frcnn_cli.engine.detection.image import detect_image, score_boxes
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Proposals
from frcnn_proposals.images import read_image


def test_suppression_by_hand() -> None:
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 4], [20, 20, 29, 29], [5, 5, 14, 14]], np.float32)
    # IoU of the first two 50 / 100, of the first and last 25 / 175.
    suppress = script()["suppress"]
    assert suppress(boxes, np.array([0.5, 0.9, 0.7, 0.6])) == [1, 2, 3]
    assert suppress(boxes[:2], np.array([0.5, 0.9]), iou=0.5) == [1, 0]
    many = np.repeat(boxes[:1], 100, axis=0)
    assert suppress(many, np.full(100, 0.5)) == [0]  # of equal scores, the first
    assert suppress(boxes[:0], np.zeros(0)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"box_voting": 0.5},
        {"max_per_class": 7, "top_k": 5, "nms_iou": 0.5, "box_voting": 0.3},
    ],
    ids=["usual", "voting", "limits"],
)
def test_the_detections_are_those_of_detect(shared_data: Path, changes: dict[str, Any]) -> None:
    """Of boxes with different scores: which of equal ones suppresses the other is not defined."""
    detector, detect = make_detector(), script()["detect"]
    with torch.no_grad():
        detector.score.weight /= 10
    settings = DetectSettings(score_threshold=0.2, **changes)
    count = 0
    for image in real_images(shared_data):
        boxes = proposals_in(image, 200)
        scores = score_boxes(detector, image, Proposals(boxes))[0].numpy()
        firsts = [np.unique(column, return_index=True)[1] for column in scores[:, 1:].T]
        boxes = Proposals(boxes[functools.reduce(np.intersect1d, firsts)])
        expected = detect_image(detector, image, boxes, settings)
        scores, decoded = (output.numpy() for output in score_boxes(detector, image, boxes))
        labels, values, found = detect(scores, decoded, vars(settings), 0.2, True)
        np.testing.assert_array_equal(labels + 1, expected.labels)
        np.testing.assert_array_equal(values, expected.scores)
        np.testing.assert_allclose(found, expected.boxes, rtol=0, atol=1e-3)
        count += len(labels)
    assert count >= 20


def test_no_boxes_and_images_of_one_row() -> None:
    class Session:
        """An exported file that remembers the size of its image."""

        def get_modelmeta(self) -> SimpleNamespace:
            values = {"preprocessing": {"scale": 480, "max_size": 800, "resize": "uint8"}}
            return SimpleNamespace(custom_metadata_map={"frcnn": json.dumps(values)})

        def run(self, outputs: list[str], inputs: dict[str, Any]) -> Any:
            return inputs["image"].shape

    names = script()
    image = np.zeros((1, 5000, 3), np.uint8)
    assert names["score"](Session(), image, np.zeros((0, 4))) == (1, 800, 3)
    none = np.zeros((0, 4)), np.zeros((0, 3, 4))
    labels, values, boxes = names["detect"](*none, vars(DetectSettings(box_voting=0.5)), 0.5, True)
    assert (labels.shape, values.shape, boxes.shape) == ((0,), (0,), (0, 4))


def test_boxes_of_one_image_are_read_best_first(tmp_path: Path) -> None:
    """From the columns that `frcnn proposals convert` writes, with and without scores."""
    read = script()["read_boxes"]
    path = tmp_path / "boxes.csv"
    path.write_text(
        "image,x1,y1,x2,y2,score\na,0,0,1,1,0.1\nsub/a,7,7,8,8,0.9\na,2,2,3,3.5,0.8\n"
        "a,4,4,5,5,0.8\nempty,,,,,\nplain,1,1,2,2,\nplain,0,0,2,2,\n"
    )
    assert read(path, Path("a.jpg"), 2).tolist() == [[2, 2, 3, 3.5], [4, 4, 5, 5]]
    assert read(path, Path("sub/a.png"), 1).tolist() == [[7, 7, 8, 8]]
    assert read(path, Path("plain.jpg"), 9).tolist() == [[1, 1, 2, 2], [0, 0, 2, 2]]
    assert read(path, Path("empty.jpg"), 9).shape == (0, 4)
    with pytest.raises(SystemExit, match="no row of image b"):
        read(path, Path("b.jpg"), 9)


def test_the_script_runs_without_this_package(
    detector: FastRCNN, onnx_file: Path, tmp_path: Path, shared_data: Path
) -> None:
    """Also for an image that a camera has stored on its side, and for one without boxes."""
    without = "import sys\nsys.modules.update(dict.fromkeys(\n"
    without += "    ['torch', 'cv2', 'frcnn_cli', 'frcnn_kernels', 'frcnn_proposals']))\n"
    (tmp_path / "run_onnx.py").write_text(without + page_script())
    turned = Image.open(shared_data / "fast-rcnn-demo" / "000004.jpg")
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    boxes = proposals_in(read_image(tmp_path / "turned.png"), 60)
    rows = [f"turned,{','.join(map(str, box))}," for box in boxes.tolist()]
    (tmp_path / "boxes.csv").write_text("\n".join(["image,x1,y1,x2,y2,score", *rows, "none,,,,,"]))
    Image.new("RGB", (40, 30)).save(tmp_path / "none.png")

    def run(image: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "run_onnx.py", onnx_file, image, "boxes.csv"],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    image = read_image(tmp_path / "turned.png")
    expected = detect_image(detector, image, Proposals(boxes), DetectSettings())
    found = run("turned.png")
    assert len(found) == len(expected) > 0
    for line in found:
        name, _, shown = line.split(maxsplit=2)
        label = detector.architecture.classes.index(name) + 1
        distances = np.abs(expected.boxes[expected.labels == label] - json.loads(shown))
        assert distances.max(axis=1).min() <= 1
    assert run("none.png") == []
