"""The section on fine-tuning through pooling: by hand, and from torch's own counter."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_up_subject import ARCHITECTURE, made_up_image, made_up_subject
from torch.utils.flop_counter import FlopCounterMode

from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.network.transforms import batch_images, image_tensor
from frcnn_cli.engine.pages.explain.sections.field import MEASURED, field_numbers
from frcnn_cli.engine.pages.explain.subject import Subject, make_subject
from frcnn_cli.engine.settings import Preprocessing
from frcnn_proposals.sources.dense import DenseBoxes


@pytest.fixture(scope="module")
def alexnet() -> Subject:
    """The image enlarged to 480 x 640, in which the fields of small RoIs are not the whole."""
    torch.manual_seed(0)
    preprocessing = Preprocessing(scale=480, max_size=640)
    model = FastRCNN(replace(ARCHITECTURE, backbone="alexnet", preprocessing=preprocessing)).eval()
    image = made_up_image()
    return make_subject(model, image, DenseBoxes().propose(image).top(300))


def test_fields_of_alexnet_by_hand(alexnet: Subject) -> None:
    """conv1 is 11 x 11 at stride 4 with padding 2; pooling 3 x 3 at stride 2; conv2 5 x 5."""
    numbers = field_numbers(alexnet)
    assert numbers["input"] == [640, 480]
    assert numbers["cell"] == 163
    partial = 0
    for field, roi in zip(numbers["fields"], alexnet.chosen_rois.tolist(), strict=True):
        x1, y1, x2, y2 = (int(corner / 16 + 0.5) for corner in roi[1:])
        left, top = (max(16 * cell - 66, 0) for cell in (x1, y1))
        # conv5 has 29 x 39 cells, so corners can round to a cell outside it.
        right = min(16 * min(x2, 38) + 97, 640)
        bottom = min(16 * min(y2, 28) + 97, 480)
        assert field["pixels"] == [right - left, bottom - top]
        scale = 480 / 96
        expected = [left / scale, top / scale, right / scale - 1, bottom / scale - 1]
        assert field["steps"][-1] == pytest.approx(expected, abs=0.051)
        assert field["share"] == pytest.approx((right - left) * (bottom - top) / 640 / 480, 1e-3)
        partial += field["share"] < 1
    assert partial > 10


def test_the_gradient_of_a_roi_stays_in_its_field(alexnet: Subject) -> None:
    model, numbers = alexnet.model, field_numbers(alexnet)
    k = min(range(40), key=lambda k: numbers["fields"][k]["share"])
    tensor, _ = image_tensor(alexnet.image, model.architecture.preprocessing)
    images = batch_images([tensor]).requires_grad_()
    model.pool(model.features(images), alexnet.chosen_rois[k : k + 1]).sum().backward()
    assert images.grad is not None
    influence = images.grad.abs().sum((0, 1))
    x1, y1, x2, y2 = (value * alexnet.scale for value in numbers["fields"][k]["steps"][-1])
    rows, columns = (torch.nonzero(influence.sum(axis)).squeeze(1) for axis in (1, 0))
    assert y1 - 0.5 <= int(rows[0])
    assert int(rows[-1]) <= y2 + alexnet.scale
    assert x1 - 0.5 <= int(columns[0])
    assert int(columns[-1]) <= x2 + alexnet.scale


def test_boxes_grow_with_every_layer(alexnet: Subject) -> None:
    numbers = field_numbers(alexnet)
    assert [layer["kernel"][0] for layer in numbers["layers"]] == [3, 3, 3, 3, 5, 3, 11]
    assert [layer["stride"] for layer in numbers["layers"]] == [1, 1, 1, 2, 1, 2, 4]
    for field in numbers["fields"]:
        for inner, outer in zip(field["steps"], field["steps"][1:], strict=False):
            assert outer[0] <= inner[0]
            assert outer[1] <= inner[1]
            assert outer[2] >= inner[2]
            assert outer[3] >= inner[3]


@pytest.mark.parametrize("has_parts", [False, True])
def test_costs_are_those_that_torch_counts(has_parts: bool) -> None:
    subject = made_up_subject(cascade=has_parts, ranker=has_parts)
    costs = field_numbers(subject)["costs"]
    tensor, _ = image_tensor(subject.image, subject.model.architecture.preprocessing)
    model = subject.model

    def multiply_adds(images: int, rois: int) -> int:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            feature_map = model.features(batch_images([tensor] * images))
            read = subject.rois[:rois].clone()
            for head in model.heads:
                model.read(feature_map, read, head)
            if model.ranker is not None:
                model.objectness(feature_map, read)
        return int(counter.get_total_flops()) // 2

    assert costs["image"] == multiply_adds(1, 0)
    assert costs["hierarchical"] == multiply_adds(2, 128)
    assert costs["roi_centric"] == multiply_adds(128, 128)
    assert costs["ratio"] == pytest.approx(costs["roi_centric"] / costs["hierarchical"], 1e-2)


def test_the_measurement_is_that_of_the_documentation() -> None:
    text = (Path(__file__).parents[4] / "docs" / "experiments.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (?:hierarchical|RoI-centric) \| (\d+) \| ([\d.]+) \| ([\d.]+)", text, re.M
    )
    assert rows == [
        ("2", str(MEASURED["hierarchical_s"]), "1"),
        ("128", str(MEASURED["roi_centric_s"]), str(MEASURED["ratio"])),
    ]
    assert f"`{MEASURED['backbone']}` at scale\n{MEASURED['scale']}" in text
