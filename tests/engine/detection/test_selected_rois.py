"""Which RoIs the heads read, and detections of a network with a second head."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from frcnn_cli.engine.boxes import decode_boxes
from frcnn_cli.engine.detection.dataset import detection_identity
from frcnn_cli.engine.detection.image import detect_image, score_boxes
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.detection.views import ranked_order, read_maps, run_heads
from frcnn_cli.engine.models.loaded import LoadedModel
from frcnn_cli.engine.network.layers.box_head import BoxHead
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.network.transforms import image_tensor
from frcnn_cli.engine.settings import DetectSettings, Experiment
from frcnn_proposals.base import Proposals

IMAGE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
DRAW = np.random.default_rng(1)
CORNERS = DRAW.uniform(0, 60, (40, 2))
BOXES = np.concatenate([CORNERS, CORNERS + DRAW.uniform(10, 28, (40, 2))], 1).astype(np.float32)


def model_with(model: FastRCNN, cascade: bool, ranker: bool) -> FastRCNN:
    torch.manual_seed(0)
    made = FastRCNN(replace(model.architecture, cascade=cascade, ranker=ranker)).eval()
    for head in made.heads:
        head.offset_deviations[:] = torch.tensor([0.1, 0.1, 0.2, 0.2])
    return made


def rows_read(model: FastRCNN, boxes: np.ndarray, settings: DetectSettings) -> np.ndarray:
    return run_heads(read_maps(model, IMAGE, boxes, settings), settings).rows


@pytest.fixture
def read_by_heads(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many RoIs the layers of each head have read."""
    counts = {"first": 0, "second": 0}
    head = BoxHead.head

    def counted(self: BoxHead, pooled: torch.Tensor, drop: None = None) -> object:
        counts["first" if isinstance(self, FastRCNN) else "second"] += len(pooled)
        return head(self, pooled, drop)

    monkeypatch.setattr(BoxHead, "head", counted)
    return counts


def test_the_order_of_the_ranker_by_hand() -> None:
    """Best first; near duplicates of better boxes come after all others, in their own order."""
    boxes = np.array(
        [[0, 0, 99, 99], [0, 0, 99, 89], [0, 0, 99, 69], [200, 0, 299, 99], [200, 0, 299, 84]],
        np.float32,
    )  # IoU 0.9, 0.7; 0.85
    objectness = torch.tensor([1.0, 3.0, 2.0, 0.0, -1.0])
    # 2 has IoU 70/90 with 1, so it stays; 0 and 4 are near duplicates of 1 and 3.
    assert ranked_order(objectness, boxes).tolist() == [1, 2, 3, 0, 4]


@pytest.mark.parametrize(
    ("cascade", "ranker", "first", "second"),
    [(False, False, 40, 0), (False, True, 10, 0), (True, False, 40, 10), (True, True, 10, 10)],
)
def test_rois_beyond_the_best_are_read_by_no_head(
    small_model: FastRCNN,
    read_by_heads: dict[str, int],
    cascade: bool,
    ranker: bool,
    first: int,
    second: int,
) -> None:
    model = model_with(small_model, cascade, ranker)
    scores, boxes = score_boxes(model, IMAGE, Proposals(BOXES), DetectSettings(max_proposals=10))
    # RoIs with the same window of the map are read once by the first head.
    assert first / 2 < read_by_heads["first"] <= first
    assert read_by_heads["second"] == second
    assert len(scores) == len(boxes) == (10 if cascade or ranker else 40)


def test_the_heads_read_the_rankers_best(small_model: FastRCNN) -> None:
    model = model_with(small_model, cascade=False, ranker=True)
    tensor, factor = image_tensor(IMAGE, model.architecture.preprocessing)
    rois = torch.cat([torch.zeros(40, 1), torch.from_numpy(BOXES) * factor], 1)
    with torch.no_grad():
        objectness = model.objectness(model.features(tensor[None]), rois)
    best = np.sort(ranked_order(objectness, BOXES)[:10])
    with torch.inference_mode():
        rows = rows_read(model, BOXES, DetectSettings(max_proposals=10))
    assert rows.tolist() == best.tolist()
    plain = replace(model.architecture, ranker=False)
    same = FastRCNN(plain).eval()
    same.load_state_dict({n: v for n, v in model.state_dict().items() if "ranker" not in n})
    expected = score_boxes(same, IMAGE, Proposals(BOXES[best]))
    found = score_boxes(model, IMAGE, Proposals(BOXES), DetectSettings(max_proposals=10))
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_scores_are_the_mean_of_both_heads_and_boxes_are_the_seconds(
    small_model: FastRCNN,
) -> None:
    """Computed step by step, in input pixels."""
    model = model_with(small_model, cascade=True, ranker=False)
    assert model.second is not None
    tensor, factor = image_tensor(IMAGE, model.architecture.preprocessing)
    rois = torch.cat([torch.zeros(40, 1), torch.from_numpy(BOXES) * factor], 1)
    with torch.no_grad():
        feature_map = model.features(tensor[None])
        one = model.head(model.pool(feature_map, rois))
        own = decode_boxes(rois[:, 1:], model.denormalise(one.offsets))
        best = one.logits[:, 1:].argmax(dim=1)
        moved = torch.cat([rois[:, :1], own[torch.arange(40), best]], 1)
        two = model.second.head(model.pool(feature_map, moved))
        decoded = decode_boxes(moved[:, 1:], two.offsets * torch.tensor([0.1, 0.1, 0.2, 0.2] * 2))
    scores, boxes = score_boxes(model, IMAGE, Proposals(BOXES))
    expected = (one.logits.softmax(1) + two.logits.softmax(1)) / 2
    assert torch.allclose(scores, expected, atol=1e-5)
    limits = torch.tensor([119.0, 89, 119, 89])
    assert torch.allclose(boxes, (decoded / factor).clamp(min=0).minimum(limits), atol=1e-3)


def test_the_second_head_reads_the_rois_that_the_first_finds_best(small_model: FastRCNN) -> None:
    model = model_with(small_model, cascade=True, ranker=False)
    plain = FastRCNN(replace(model.architecture, cascade=False)).eval()
    plain.load_state_dict(model.state_dict(), strict=False)
    scores, _ = score_boxes(plain, IMAGE, Proposals(BOXES))
    best = scores[:, 1:].amax(dim=1).argsort(descending=True, stable=True)[:10].sort().values
    with torch.inference_mode():
        rows = rows_read(model, BOXES, DetectSettings(max_proposals=10))
    assert rows.tolist() == best.tolist()


@pytest.mark.parametrize("cascade", [False, True])
def test_the_mirrored_view_reads_the_same_proposals(small_model: FastRCNN, cascade: bool) -> None:
    """So the means over both views are over the same objects."""
    model = model_with(small_model, cascade, ranker=True)
    inner = BOXES * 0.5 + 20  # far from the borders, so that nothing is clipped
    settings = DetectSettings(max_proposals=10)
    with torch.inference_mode():
        rows = rows_read(model, inner, settings)
    chosen = Proposals(inner[rows])
    both = score_boxes(model, IMAGE, Proposals(inner), replace(settings, flip=True))
    alone = score_boxes(model, IMAGE, chosen, replace(settings, flip=True))
    for ours, theirs in zip(both, alone, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-4)


def test_several_scales_have_the_outputs_of_each(small_model: FastRCNN) -> None:
    model = model_with(small_model, cascade=True, ranker=False)
    settings = DetectSettings(scales=(64, 96), roi_side=22)
    scores, boxes = score_boxes(model, IMAGE, Proposals(BOXES), settings)
    area = (BOXES[:, 2:] - BOXES[:, :2] + 1).prod(axis=1)
    factors = np.array([64 / 90, 1.0])  # the longer side is limited to 120
    nearest = np.abs(area[:, None] * factors**2 - 22**2).argmin(axis=1)
    assert set(nearest) == {0, 1}
    for index, scale in enumerate((64, 96)):
        rows = np.flatnonzero(nearest == index)
        one = replace(settings, scales=(scale,))
        found = score_boxes(model, IMAGE, Proposals(BOXES[rows]), one)
        assert torch.allclose(scores[rows], found[0], atol=1e-5)
        assert torch.allclose(boxes[rows], found[1], atol=1e-3)


def test_without_box_regression_detections_keep_their_proposals(small_model: FastRCNN) -> None:
    model = model_with(small_model, cascade=True, ranker=True)
    settings = DetectSettings(score_threshold=None, box_regression=False, max_proposals=10)
    found = detect_image(model, IMAGE, Proposals(BOXES), settings)
    known = {tuple(box) for box in BOXES.tolist()}
    assert {tuple(box) for box in found.boxes.tolist()} <= known


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_prepared_model_detects_the_same(small_model: FastRCNN, precision: str) -> None:
    model = model_with(small_model, cascade=True, ranker=True)
    prepared = prepare_model(model, precision)  # type: ignore[arg-type]
    assert prepared.second is not None
    assert prepared.ranker is not None
    for head in prepared.heads:
        assert head.score.weight.dtype == head.box.weight.dtype == torch.float32
    expected = score_boxes(model, IMAGE, Proposals(BOXES))
    found = score_boxes(prepared, IMAGE, Proposals(BOXES))
    tolerances = (1e-5, 1e-3) if precision == "float32" else (0.02, 3)
    for ours, theirs, tolerance in zip(found, expected, tolerances, strict=True):
        assert torch.allclose(ours, theirs, atol=tolerance)


def test_only_a_model_that_selects_has_the_count_in_its_identity(
    small_model: FastRCNN, tmp_path: Path
) -> None:
    """So journals that older versions left for other models are resumed."""
    file = tmp_path / "model"
    file.write_bytes(b"weights")

    def settings_of(model: FastRCNN, **changes: int) -> dict[str, object]:
        loaded = LoadedModel(model, file, {}, Experiment())
        settings = DetectSettings(**changes)  # type: ignore[arg-type]
        return dict(detection_identity(loaded, settings, "")["settings"])

    plain = settings_of(small_model)
    assert set(asdict(DetectSettings())) - set(plain) == {"max_proposals"}
    ranked = model_with(small_model, cascade=False, ranker=True)
    assert settings_of(ranked, max_proposals=7) == plain | {"max_proposals": 7}
