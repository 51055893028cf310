"""Features of boxes are what the network computes for them, and the boxes those of the papers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frcnn_cli.engine.boxes import iou_matrix
from frcnn_cli.engine.detection.features import regions
from frcnn_cli.engine.detection.features.regions import best_boxes, region_blocks
from frcnn_cli.engine.detection.features.rows import Block
from frcnn_cli.engine.detection.image import detect_image, score_boxes
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.network.transforms import batch_images, batch_rois, image_tensor
from frcnn_cli.engine.settings import Classifier, DetectSettings
from frcnn_cli.engine.settings.features import FeatureOptions, FeatureSettings, Layer
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError, MisuseError

IMAGE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
DRAW = np.random.default_rng(1)
CORNERS = DRAW.uniform(0, 60, (40, 2))
BOXES = np.concatenate([CORNERS, CORNERS + DRAW.uniform(4, 28, (40, 2))], 1).astype(np.float32)
ALL = Proposals(BOXES)
DETECTION = DetectSettings(score_threshold=None)


def features(
    model: FastRCNN, settings: FeatureSettings, proposals: Proposals = ALL, **more: object
) -> Block:
    count, blocks = region_blocks(model, IMAGE, proposals, DETECTION, settings, **more)  # type: ignore[arg-type]
    parts = list(blocks)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    assert len(joined["boxes"]) == count
    return joined


def inside(model: FastRCNN, layer: nn.Module) -> Tensor:
    """What a layer returns when the network's own forward pass reads the boxes."""
    captured: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _, __, output: captured.append(output))
    pixels, factor = image_tensor(IMAGE, model.architecture.preprocessing)
    with torch.no_grad():
        model(batch_images([pixels]), batch_rois([BOXES], [factor]))
    handle.remove()
    return torch.cat(captured)


@pytest.mark.parametrize("layer", ["fc6", "fc7"])
def test_fc6_and_fc7_equal_those_inside_the_network(small_model: FastRCNN, layer: Layer) -> None:
    expected = torch.relu(inside(small_model, getattr(small_model, layer)))
    found = features(small_model, FeatureSettings(layer))
    assert np.array_equal(found["boxes"], BOXES)
    assert np.ptp(expected.numpy()) > 0.01
    np.testing.assert_allclose(found["features"], expected, rtol=1e-5, atol=1e-6)


def feature_map(model: FastRCNN) -> tuple[Tensor, Tensor]:
    pixels, factor = image_tensor(IMAGE, model.architecture.preprocessing)
    with torch.inference_mode():
        return model.features(batch_images([pixels])), batch_rois([BOXES], [factor])


def test_the_pooled_map_equals_torchvision_to_the_bit(small_model: FastRCNN) -> None:
    ops = pytest.importorskip("torchvision.ops")
    if not hasattr(torch.ops.torchvision, "roi_pool"):
        pytest.skip("torchvision's operators cannot be loaded with this torch")
    maps, rois = feature_map(small_model)
    expected = ops.roi_pool(maps.contiguous(), rois, small_model.pooled, 1 / small_model.stride)
    found = features(small_model, FeatureSettings("pooled"))["features"]
    assert found.tobytes() == expected.numpy().tobytes()


def test_class_probabilities_are_those_of_detection(small_model: FastRCNN) -> None:
    expected, _ = score_boxes(small_model, IMAGE, ALL, DETECTION)
    found = features(small_model, FeatureSettings("pooled"))
    np.testing.assert_allclose(found["cls_prob"], expected, rtol=1e-5, atol=1e-6)
    assert np.array_equal(found["objects_id"], found["cls_prob"][:, 1:].argmax(1))
    assert np.array_equal(found["objects_conf"], found["cls_prob"][:, 1:].max(1))
    best = detect_image(small_model, IMAGE, ALL, DETECTION).scores[0]
    assert found["objects_conf"].max() == pytest.approx(best, abs=1e-6)


def test_a_second_head_changes_probabilities_but_not_features(small_model: FastRCNN) -> None:
    torch.manual_seed(0)
    cascade = FastRCNN(replace(small_model.architecture, cascade=True)).eval()
    cascade.load_state_dict(small_model.state_dict(), strict=False)
    expected, _ = score_boxes(cascade, IMAGE, ALL, DETECTION)
    found, single = (features(m, FeatureSettings("fc7")) for m in (cascade, small_model))
    assert np.array_equal(found["features"], single["features"])
    np.testing.assert_allclose(found["cls_prob"], expected, rtol=1e-5, atol=1e-6)
    assert not np.allclose(found["cls_prob"], single["cls_prob"], atol=1e-6)


def test_each_box_is_read_at_its_scale(small_model: FastRCNN) -> None:
    """The features at two scales are those of the one or of the other scale."""
    settings = FeatureSettings("pooled")

    def at(*scales: int) -> NDArray[np.generic]:
        detection = replace(DETECTION, scales=scales, roi_side=20)
        _, blocks = region_blocks(small_model, IMAGE, ALL, detection, settings)
        return np.concatenate([block["features"] for block in blocks])

    both, large, small = at(64, 96), at(96), at(64)
    is_large = (both == large).all((1, 2, 3))
    assert 0 < is_large.sum() < len(BOXES)
    assert np.array_equal(both[~is_large], small[~is_large])


def test_blocks_are_small_and_have_the_same_values(
    small_model: FastRCNN, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = FeatureSettings("fc6")
    whole = features(small_model, settings)
    monkeypatch.setattr(regions, "BLOCK_BYTES", 7 * 4 * math.prod(small_model.pooled_shape))
    _, blocks = region_blocks(small_model, IMAGE, ALL, DETECTION, settings)
    parts = list(blocks)
    assert [len(part["boxes"]) for part in parts] == [7] * 5 + [5]
    for name, values in whole.items():
        joined = np.concatenate([part[name] for part in parts])
        np.testing.assert_allclose(joined, values, rtol=1e-5, atol=1e-6)


def test_float16_is_rounded_and_rejects_what_it_cannot_hold(small_model: FastRCNN) -> None:
    half = features(small_model, FeatureSettings("pooled", "float16"))["features"]
    single = features(small_model, FeatureSettings("pooled"))["features"]
    assert half.dtype == np.float16
    assert np.array_equal(half, single.astype(np.float16))
    small_model.fc6.bias.data.fill_(1e6)  # type: ignore[union-attr, operator]
    with pytest.raises(InputError, match=r"more than float16 holds; use --dtype float32"):
        features(small_model, FeatureSettings("fc6", "float16"))


def test_scores_of_proposals_are_kept(small_model: FastRCNN) -> None:
    scores = np.linspace(1, 0, len(BOXES), dtype=np.float32)
    found = features(small_model, FeatureSettings("fc7", max_boxes=9), Proposals(BOXES, scores))
    assert np.array_equal(found["scores"], scores[:9])
    assert np.isnan(features(small_model, FeatureSettings("fc7"))["scores"]).all()


def test_an_image_without_boxes_and_a_network_without_classes(small_model: FastRCNN) -> None:
    count, blocks = region_blocks(
        small_model, IMAGE, Proposals([]), DETECTION, FeatureSettings("fc7")
    )
    assert (count, list(blocks)) == (0, [])
    found = features(small_model, FeatureSettings("pooled"), is_detector=False)
    assert set(found) == {"boxes", "scores", "features"}


def selected_one_by_one(
    scores: NDArray[np.float32], threshold: float, low: int, high: int
) -> dict[int, float]:
    """The selection of bottom-up attention: per class, suppress boxes one by one."""
    confidence = np.zeros(len(BOXES))
    for label in range(1, scores.shape[1]):
        remaining = list(np.argsort(-scores[:, label]))
        while remaining:
            best = remaining.pop(0)
            confidence[best] = max(confidence[best], scores[best, label])
            overlap = iou_matrix(BOXES[[best]], BOXES)[0]
            remaining = [other for other in remaining if overlap[other] <= DETECTION.nms_iou]
    rows = np.flatnonzero(confidence >= threshold)
    order = np.argsort(-confidence, kind="stable")
    if len(rows) < low:
        rows = order[:low]
    elif len(rows) > high:
        rows = order[:high]
    return {int(row): float(confidence[row]) for row in rows}


@pytest.mark.parametrize(
    ("threshold", "low", "high"), [(0.5, 0, 100), (0.99, 6, 100), (0.1, 0, 8), (0.3, 10, 20)]
)
def test_boxes_are_selected_as_in_bottom_up_attention(
    threshold: float, low: int, high: int
) -> None:
    scores = np.random.default_rng(5).dirichlet([0.4] * 4, len(BOXES)).astype(np.float32)
    expected = selected_one_by_one(scores, threshold, low, high)
    settings = FeatureSettings("fc7", "float32", "detections", threshold, low, high)
    rows, found = best_boxes(torch.from_numpy(scores), BOXES, DETECTION, settings)
    assert dict(zip(rows.tolist(), found.tolist(), strict=True)) == pytest.approx(expected)
    assert (np.diff(found) <= 0).all()
    assert low <= len(rows) <= high


def test_suppressed_boxes_fill_up_to_the_minimum() -> None:
    """Boxes 1 and 2 are suppressed by box 0 in the only class; 2 has the higher score."""
    boxes = np.array([[0, 0, 99, 99], [0, 0, 99, 95], [0, 0, 95, 99]], np.float32)
    scores = torch.tensor([[0.1, 0.9], [0.4, 0.6], [0.3, 0.7]])
    settings = FeatureSettings("fc7", "float32", "detections", 0.2, 2, 100)
    rows, found = best_boxes(scores, boxes, DETECTION, settings)
    assert rows.tolist() == [0, 2]
    assert found.tolist() == pytest.approx([0.9, 0.7])


def test_selected_boxes_are_proposals_with_their_own_features(small_model: FastRCNN) -> None:
    small_model.score.weight.data *= 1000  # so that scores differ, around the same mean
    small_model.score.bias.data -= inside(small_model, small_model.score).mean(0)
    settings = FeatureOptions(layer="pooled").resolved(True, "softmax", False)
    assert (settings.boxes, settings.min_boxes, settings.max_boxes) == ("detections", 10, 100)
    selected = features(small_model, settings)
    assert len(selected["boxes"]) >= 10
    rows = [int(np.flatnonzero((box == BOXES).all(1))[0]) for box in selected["boxes"]]
    every = features(small_model, FeatureSettings("pooled"))
    assert np.array_equal(selected["features"], every["features"][rows])
    assert np.ptp(selected["scores"]) > 1e-4
    off = np.abs(selected["cls_prob"][:, 1:] - selected["scores"][:, None]).min(axis=1)
    assert off.max() < 1e-5  # the score is the box's own, in one of the classes


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        ({"min_boxes": 5}, (True, "softmax", True), "--min-boxes selects boxes by"),
        ({"score_threshold": 0.1}, (False, "softmax", False), "--score-threshold selects"),
        ({"boxes": "detections"}, (False, "softmax", False), "no class scores"),
        ({"min_boxes": 9, "max_boxes": 5}, (True, "softmax", False), "^min_boxes is 9, more than"),
        ({"score_threshold": math.nan}, (True, "softmax", False), "must be a finite number"),
        ({"layer": "fc8"}, (True, "softmax", False), "The layer is 'fc8'"),
    ],
)
def test_contradicting_options_are_errors(
    options: dict[str, object], arguments: tuple[bool, str, bool], message: str
) -> None:
    with pytest.raises(MisuseError, match=message):
        FeatureOptions(**options).resolved(*arguments)  # type: ignore[arg-type]


def test_a_limit_moves_the_default_of_the_other() -> None:
    few = FeatureOptions(max_boxes=4).resolved(True, "softmax", False)
    many = FeatureOptions(min_boxes=150).resolved(True, "svm", False)
    assert (few.min_boxes, few.max_boxes) == (4, 4)
    assert (many.min_boxes, many.max_boxes, many.score_threshold) == (150, 150, 0.0)


@pytest.mark.parametrize(
    ("classifier", "threshold"), [("softmax", 0.2), ("oicr", 0.2), ("wsddn", 0.05)]
)
def test_the_default_threshold_is_one_of_the_classifiers_scores(
    classifier: Classifier, threshold: float
) -> None:
    assert FeatureOptions().resolved(True, classifier, False).score_threshold == threshold
