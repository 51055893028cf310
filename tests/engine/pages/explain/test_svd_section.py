"""The numbers of truncated SVD, compared with torch's SVD and with compressed models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from frcnn_cli.engine.compression.layers import compress
from frcnn_cli.engine.detection.image import detect_image
from frcnn_cli.engine.network.layer_costs import layer_costs
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.network.transforms import image_tensor
from frcnn_cli.engine.pages.explain.sections.svd import svd_numbers
from frcnn_cli.engine.pages.explain.subject import make_subject
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Proposals
from frcnn_proposals.sources.dense import DenseBoxes

IMAGE = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
PROPOSALS = DenseBoxes().propose(IMAGE).top(60)
SETTINGS = DetectSettings(score_threshold=0.2, max_proposals=20)


def test_singular_values_and_energies(small_model: FastRCNN) -> None:
    subject = make_subject(small_model, IMAGE, PROPOSALS, SETTINGS)
    fc6, fc7 = svd_numbers(subject)["layers"]
    assert (fc6["name"], fc7["name"]) == ("fc6", "fc7")
    channels, height, width = small_model.pooled_shape
    assert (fc6["outputs"], fc6["inputs"]) == (24, channels * height * width)
    assert (fc7["outputs"], fc7["inputs"]) == (16, 24)
    for layer, numbers in ((small_model.fc6, fc6), (small_model.fc7, fc7)):
        values = torch.linalg.svdvals(layer.weight.detach().double()).numpy()
        assert numbers["values"] == pytest.approx(values, rel=1e-3, abs=1e-3)
        energy = np.cumsum(values**2) / np.sum(values**2)
        assert numbers["energy"] == pytest.approx(energy, abs=6e-5)
        u, v = numbers["outputs"], numbers["inputs"]
        assert numbers["weights"] == u * v
        largest = numbers["largest"]
        assert largest * (u + v) < u * v <= (largest + 1) * (u + v)
        assert numbers["split"] is None


def test_the_detections_at_a_rank_are_those_of_the_compressed_model(small_model: FastRCNN) -> None:
    subject = make_subject(small_model, IMAGE, PROPOSALS, SETTINGS)
    tried = svd_numbers(subject)["tried"]
    assert [row["rank"] for row in tried] == [None, 1, 4, 16]  # fc7 gets smaller up to 9
    assert tried[-1]["ranks"] == {"fc6": 16}
    assert len(tried[0]["detections"]) == tried[0]["same"] > 0
    for row in tried:
        model = small_model if row["rank"] is None else compress(small_model, row["ranks"]).model
        found = detect_image(model, IMAGE, PROPOSALS, SETTINGS)
        assert [d["label"] for d in row["detections"]] == found.labels.tolist()
        assert [d["score"] for d in row["detections"]] == pytest.approx(found.scores, abs=6e-5)
        for detection, box in zip(row["detections"], found.boxes, strict=True):
            assert detection["box"] == pytest.approx(box, abs=0.06)
        assert row["same"] <= len(tried[0]["detections"])


def test_multiply_adds_by_hand(small_model: FastRCNN) -> None:
    """Ranks change the multiply-adds of fc6 and fc7 only: t (u + v) instead of u v per RoI."""
    numbers = svd_numbers(make_subject(small_model, IMAGE, PROPOSALS, SETTINGS))
    v6 = numbers["layers"][0]["inputs"]
    before, *after = (row["multiply_adds"] for row in numbers["tried"])
    for row, multiply_adds in zip(numbers["tried"][1:], after, strict=True):
        saved = 24 * v6 - row["ranks"]["fc6"] * (24 + v6)
        if "fc7" in row["ranks"]:
            saved += 16 * 24 - row["ranks"]["fc7"] * (16 + 24)
        assert before - multiply_adds == 60 * saved


def test_the_input_of_a_thin_image_has_a_row(small_model: FastRCNN) -> None:
    image = np.ascontiguousarray(np.tile(IMAGE[:1], (1, 4, 1)))  # 1 x 512; the input is 1 x 120
    subject = make_subject(small_model, image, Proposals([(0, 0, 511, 0)]), SETTINGS)
    tensor, _ = image_tensor(image, small_model.architecture.preprocessing)
    assert subject.input_size == tuple(tensor.shape[1:])
    assert tensor.shape[1] == 1
    costs = layer_costs(small_model.architecture, (1, tensor.shape[2]))
    assert svd_numbers(subject)["tried"][0]["multiply_adds"] == costs.multiply_adds(1)


def test_a_compressed_model_starts_from_its_own_rank(small_model: FastRCNN) -> None:
    thin = compress(small_model, {"fc6": 8}).model
    numbers = svd_numbers(make_subject(thin, IMAGE, PROPOSALS, SETTINGS))
    fc6 = numbers["layers"][0]
    assert (fc6["split"], fc6["largest"], len(fc6["values"])) == (8, 7, 8)
    assert fc6["weights"] == 8 * (fc6["outputs"] + fc6["inputs"])
    assert [row["rank"] for row in numbers["tried"]] == [None, 1, 4]


def test_both_heads_have_their_own_layers(small_model: FastRCNN) -> None:
    torch.manual_seed(0)
    model = FastRCNN(replace(small_model.architecture, cascade=True)).eval()
    numbers = svd_numbers(make_subject(model, IMAGE, PROPOSALS, SETTINGS))
    assert [layer["name"] for layer in numbers["layers"]] == [
        "fc6", "fc7", "second.fc6", "second.fc7"
    ]  # fmt: skip
    assert numbers["tried"][1]["ranks"] == dict.fromkeys(
        ("fc6", "fc7", "second.fc6", "second.fc7"), 1
    )
