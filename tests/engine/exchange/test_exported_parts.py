"""Exported models with a second head or a ranker return the same as score_boxes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_detector import make_parts, proposals_in

from frcnn_cli.engine.detection.image import score_boxes
from frcnn_cli.engine.detection.views import ranked_order
from frcnn_cli.engine.exchange.comparison import (
    largest_difference,
    onnx_runner,
    torch_runner,
)
from frcnn_cli.engine.exchange.export import export_onnx, export_torch
from frcnn_cli.engine.exchange.exported import ExportedDetector
from frcnn_cli.engine.exchange.plain_selection import best_ranked, best_scored
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Proposals

MOST = 20
SETTINGS = DetectSettings(max_proposals=MOST)


PARTS = [(True, False), (False, True), (True, True)]


@pytest.mark.parametrize(("cascade", "ranker"), PARTS)
@pytest.mark.parametrize("plain", [False, True])
def test_the_traced_module_equals_detection(cascade: bool, ranker: bool, plain: bool) -> None:
    model = make_parts(cascade, ranker)
    side = model.architecture.preprocessing.scale
    image = np.random.default_rng(0).integers(0, 256, (side, side + 30, 3), np.uint8)
    for count in (0, 1, MOST, 3 * MOST):
        boxes = proposals_in(image, count)
        module = ExportedDetector(model, plain, SETTINGS)
        given = torch.from_numpy(image), torch.from_numpy(boxes), torch.tensor(1.0)
        with torch.inference_mode():
            found = module(*given, torch.tensor(image.shape[:2]))
        expected = score_boxes(model, image, Proposals(boxes), SETTINGS)
        for ours, theirs in zip(found, expected, strict=True):
            assert len(theirs) == min(count, MOST)
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_the_plain_order_is_that_of_the_ranker(levels: int) -> None:
    """With many near duplicates, IoUs of exactly 0.8, and equal scores."""
    draw = np.random.default_rng(levels)
    sizes = draw.choice([40, 50, 45, 36, 48], (300, 2))
    corners = draw.choice([0, 1, 5, 60, 62], (300, 2))
    boxes = np.concatenate([corners, corners + sizes - 1], axis=1).astype(np.float32)
    objectness = torch.from_numpy(draw.integers(0, levels, 300).astype(np.float32))
    order = ranked_order(objectness, boxes)
    for most in (1, 10, 150, 300, 400):
        found = best_ranked(objectness, torch.from_numpy(boxes), most)
        assert found.tolist() == sorted(order[:most].tolist())


def test_the_best_scored_by_hand() -> None:
    scores = torch.tensor([[0.9, 0.0, 0.1], [0.1, 0.2, 0.7], [0.2, 0.5, 0.3]])
    assert best_scored(scores, 2).tolist() == [1, 2]  # the background does not count
    assert best_scored(scores, 5).tolist() == [0, 1, 2]


def exported(model: FastRCNN, path: Path, kind: str) -> Any:
    if kind == "torch":
        export_torch(model, path, "a", SETTINGS)
        return torch_runner(path)
    pytest.importorskip("onnxscript")
    export_onnx(model, path, "a", plain=kind == "plain", settings=SETTINGS)
    return onnx_runner(path)


@pytest.mark.parametrize(
    ("kind", "cascade", "ranker"),
    [
        ("onnx", True, True),
        pytest.param("plain", True, True, marks=pytest.mark.long),
        pytest.param("torch", True, True, marks=pytest.mark.long),
        pytest.param("onnx", True, False, marks=pytest.mark.long),
        pytest.param("torch", False, True, marks=pytest.mark.long),
    ],
)
def test_files_return_the_same(tmp_path: Path, kind: str, cascade: bool, ranker: bool) -> None:
    model = make_parts(cascade, ranker)
    path = tmp_path / f"a.{'pt2' if kind == 'torch' else 'onnx'}"
    run = exported(model, path, kind)
    assert max(largest_difference(model, run, SETTINGS)) <= 1e-4
    image = np.random.default_rng(0).integers(0, 256, (90, 170, 3)).astype(np.uint8)
    for count in (0, 1, 5, MOST, 50):
        boxes = torch.from_numpy(proposals_in(image, count))
        given = torch.from_numpy(image), boxes, torch.tensor(1.0), torch.tensor([90, 170])
        with torch.inference_mode():
            expected = ExportedDetector(model, False, SETTINGS)(*given)
        for ours, theirs in zip(run(given), expected, strict=True):
            torch.testing.assert_close(torch.as_tensor(ours), theirs, rtol=0, atol=1e-4)
    if kind == "onnx":
        import onnx

        properties = {p.key: p.value for p in onnx.load(path).metadata_props}
        assert json.loads(properties["frcnn"])["max_proposals"] == MOST
