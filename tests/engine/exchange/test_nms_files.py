"""Files with non-maximum suppression return the detections of `Detector` in every runtime."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_detector import (
    Complete,
    inputs_of,
    make_detector,
    make_parts,
    proposals_in,
    stored_model,
)

import frcnn
from frcnn_cli.engine.exchange.comparison import Runner, onnx_runner, torch_runner
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import DetectSettings

Image = NDArray[np.uint8]


def picture(height: int, width: int, seed: int = 0) -> Image:
    """Rectangles of random colours, with noise."""
    draw = np.random.default_rng(seed)
    image = np.full((height, width, 3), 90)
    for _ in range(30):
        y, x = draw.integers(0, height), draw.integers(0, width)
        image[y : y + draw.integers(1, 90), x : x + draw.integers(1, 90)] = draw.integers(0, 255, 3)
    return (image + draw.integers(0, 20, image.shape)).clip(0, 255).astype(np.uint8)


def check(detector: frcnn.Detector, run: Runner, image: Image, boxes: NDArray[np.float32]) -> int:
    """Compare the detections; returns their number."""
    expected = detector.detect(image, boxes)
    preprocessing = detector._network.get().detector.loaded.model.architecture.preprocessing
    with torch.no_grad():
        found, scores, labels = run(inputs_of(image, boxes, preprocessing))[2:]
    np.testing.assert_array_equal(labels.numpy(), expected.labels)
    np.testing.assert_allclose(scores.numpy(), expected.scores, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found.numpy(), expected.boxes, rtol=0, atol=1e-3)
    return len(expected)


def check_everything(detector: frcnn.Detector, run: Runner) -> None:
    """Several numbers of proposals, more than are used too; ties; images of any shape."""
    for seed, count in enumerate((300, 60, 7)):
        image = picture(180 + seed, 250 - 60 * seed, seed)
        assert check(detector, run, image, proposals_in(image, count)) > 0
    image = picture(200, 300)
    for count in (0, 1):
        assert check(detector, run, image, proposals_in(image, count)) <= 3 * count
    same = np.repeat(proposals_in(image, 5), 12, axis=0)
    same[::2, 2] += 0.25  # another box, but the same window of the feature map
    assert check(detector, run, image, same) > 0
    row = picture(1, 5000)
    check(detector, run, row, proposals_in(row, 40))


def test_onnx_with_all_parts(complete: Complete) -> None:
    check_everything(complete.detector, onnx_runner(complete.onnx))


def test_the_file_describes_its_outputs_and_settings(complete: Complete) -> None:
    import onnx

    model = onnx.load(complete.onnx)
    described = json.loads({p.key: p.value for p in model.metadata_props}["frcnn"])
    assert described["with_nms"] is True
    assert described["detect"]["top_k"] == 25
    assert described["detect"]["score_threshold"] == 0.2
    outputs = list(described["outputs"])
    assert outputs[2:] == ["detected_boxes", "detected_scores", "detected_labels"]
    assert [value.name for value in model.graph.output] == outputs
    assert not model.graph.output[2].type.tensor_type.shape.dim[0].dim_value


@pytest.mark.long
@pytest.mark.parametrize(
    ("model", "options"),
    [
        (make_detector, {}),
        (make_detector, {"plain": True, "score_threshold": 0.3, "box_voting": 0.0}),
        (make_detector, {"format": "torch-export", "nms_iou": 0.5, "top_k": 7}),
        (lambda: make_detector("float32", classifier="svm"), {"score_threshold": -0.5}),
        (lambda: make_detector(box_regression=False), {"format": "torch-export"}),
        (lambda: make_detector(box_coding="inclusive"), {"box_regression": False}),
        (lambda: make_parts(cascade=True), {"max_proposals": 30}),
        (lambda: make_parts(ranker=True), {"format": "torch-export", "max_proposals": 30}),
    ],
)  # fmt: skip
def test_every_kind_of_model(tmp_path: Path, model: Any, options: dict[str, Any]) -> None:
    detect = DetectSettings(score_threshold=0.2, box_voting=0.5, proposals=200)
    path = stored_model(model(), tmp_path / "a.safetensors", detect)
    file = frcnn.export(path, with_nms=True, **options).path
    own = {name: value for name, value in options.items() if name not in ("format", "plain")}
    run = torch_runner(file) if file.suffix == ".pt2" else onnx_runner(file)
    check_everything(frcnn.Detector.load(path, **own), run)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"scales": (480, 600)}, "detect.scales"), ({"flip": True}, "detect.flip")],
)
def test_several_views_are_rejected_before_the_export(
    detector: FastRCNN, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    settings = replace(DetectSettings(), **changes)
    path = stored_model(detector, tmp_path / "a.safetensors", settings)
    with pytest.raises(frcnn.Error, match=f"--with-nms does not support .* {words}"):
        frcnn.export(path, with_nms=True)
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_options_of_suppression_need_it(detector: FastRCNN, tmp_path: Path) -> None:
    path = stored_model(detector, tmp_path / "a.safetensors", DetectSettings())
    with pytest.raises(frcnn.Error, match="--nms-iou has no effect without --with-nms"):
        frcnn.export(path, nms_iou=0.4)
