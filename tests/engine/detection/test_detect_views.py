"""Flip and scales: the inputs of the network, and the combination of its outputs."""

import weakref
from typing import Any

import numpy as np
import pytest
import torch
from given_outputs import with_first_head

from frcnn_cli.engine.detection import image as image_module
from frcnn_cli.engine.detection import views
from frcnn_cli.engine.detection.image import detect_image, score_boxes
from frcnn_cli.engine.detection.views import Maps
from frcnn_cli.engine.network.layers.box_head import HeadOutputs
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.network.transforms import readings
from frcnn_cli.engine.settings import DetectSettings, Preprocessing
from frcnn_proposals.base import Proposals

# 100 high and 200 wide, dark on the left half only.
IMAGE = np.full((100, 200, 3), 255, np.uint8)
IMAGE[:, :100] = 0
PAPER = (480, 576, 688, 864, 1200)


def brightness_model(model: FastRCNN) -> FastRCNN:
    """Class 1 in proportion to the brightness under the RoI; boxes move right by a tenth."""

    def read(images: torch.Tensor, rois: torch.Tensor) -> HeadOutputs:
        rows = []
        for _, x1, y1, x2, y2 in rois.round().int().tolist():
            patch = images[0, :, y1 : y2 + 1, x1 : x2 + 1]
            rows.append([0.0, float(patch.mean() > 0), -50.0])
        offsets = torch.zeros(len(rois), 8)
        offsets[:, [0, 4]] = 0.1
        return HeadOutputs(torch.tensor(rows), offsets)

    return with_first_head(model, read)


def test_flip_averages_scores_and_boxes_of_both_views(small_model: FastRCNN) -> None:
    # The first RoI is on the bright half in both views; if the boxes were not mirrored, it would
    # be on the dark half of the mirrored image. The offset moves it right by 4 pixels in one view
    # and left by 4 in the other, so the mean does not move.
    model = brightness_model(small_model)
    boxes = Proposals(np.array([[120, 20, 159, 59], [20, 20, 59, 59]]))
    plain = score_boxes(model, IMAGE, boxes)
    flipped = score_boxes(model, IMAGE, boxes, DetectSettings(flip=True))
    bright = float(np.e / (np.e + 1))
    assert plain[0][:, 1].tolist() == pytest.approx([bright, 0.5])
    assert flipped[0][:, 1].tolist() == pytest.approx([bright, 0.5])
    assert plain[1][0, 0].tolist() == pytest.approx([124, 20, 163, 59], abs=1e-4)
    assert flipped[1][0, 0].tolist() == pytest.approx([120, 20, 159, 59], abs=1e-4)


def test_flip_is_the_mean_of_an_image_and_its_mirror_image(small_model: FastRCNN) -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    # Boxes far from the borders, so that nothing is clipped.
    boxes = np.array([[45.0, 35, 65, 60], [50, 30, 75, 55]], np.float32)
    mirrored = boxes.copy()
    mirrored[:, [0, 2]] = 119 - boxes[:, [2, 0]]
    one = score_boxes(small_model, image, Proposals(boxes))
    other = score_boxes(small_model, image[:, ::-1].copy(), Proposals(mirrored))
    both = score_boxes(small_model, image, Proposals(boxes), DetectSettings(flip=True))
    assert torch.allclose(both[0], (one[0] + other[0]) / 2, atol=1e-6)
    back = other[1].clone()
    back[..., [0, 2]] = 119 - other[1][..., [2, 0]]
    assert torch.allclose(both[1], (one[1] + back) / 2, atol=1e-3)


def test_the_maps_of_an_image_are_freed_before_those_of_its_mirror_image(
    small_model: FastRCNN, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier: list[weakref.ref[Maps]] = []
    in_memory = []

    def read_maps(*given: Any) -> Maps:
        in_memory.append(sum(maps() is not None for maps in earlier))
        maps = views.read_maps(*given)
        earlier.append(weakref.ref(maps))
        return maps

    monkeypatch.setattr(image_module, "read_maps", read_maps)
    boxes = Proposals(np.array([[120, 20, 159, 59], [20, 20, 59, 59]]))
    detect_image(small_model, IMAGE, boxes, DetectSettings(flip=True))
    assert in_memory == [0, 0]


def test_each_box_uses_the_scale_nearest_224_squared() -> None:
    # In an image of 480 x 640 the five scales enlarge by 1, 1.2, 1.433, 1.8 and 2.5. A square
    # of 224 is nearest at 480, one of 187 at 576, 156 at 688, 124 at 864, 90 and 20 at 1200.
    sides = [224, 187, 156, 124, 90, 20, 400]
    boxes = np.array([[0, 0, side - 1, side - 1] for side in sides], np.float32)
    found = readings(boxes, (480, 640), Preprocessing(), DetectSettings(scales=PAPER))
    by_scale = {reading.preprocessing.scale: reading.rows.tolist() for reading in found}
    assert by_scale == {480: [0, 6], 576: [1], 688: [2], 864: [3], 1200: [4, 5]}


def test_longer_side_is_limited() -> None:
    # 500 x 1250: at 1200 the longer side would be 3000; 2000 leaves 1.6 times the size.
    (only,) = readings(
        np.array([[0, 0, 9, 9]], np.float32),
        (500, 1250),
        Preprocessing(),
        DetectSettings(scales=(480, 1200)),
    )
    assert (only.preprocessing.scale, only.preprocessing.max_size) == (1200, 2000)


def test_longer_side_is_limited_as_in_training() -> None:
    """`--variant multiscale` of a preset at scale 480 trains at most 1600 pixels wide."""
    (only,) = readings(
        np.array([[0, 0, 9, 9]], np.float32),
        (400, 1250),
        Preprocessing(scale=480, max_size=1600),
        DetectSettings(scales=(384, 960)),
    )
    assert (only.preprocessing.scale, only.preprocessing.max_size) == (960, 1600)


def test_several_scales_keep_the_order_of_boxes(small_model: FastRCNN) -> None:
    model = brightness_model(small_model)
    rng = np.random.default_rng(0)
    corners = np.stack([rng.uniform(0, 150, 40), rng.uniform(0, 60, 40)], axis=1)
    sizes = rng.uniform(2, 40, (40, 2))
    boxes = np.concatenate([corners, corners + sizes], axis=1).clip(0, [199, 99, 199, 99])
    settings = DetectSettings(scales=(300, 700, 1500))
    scores, decoded = score_boxes(model, IMAGE, Proposals(boxes), settings)
    centres = (boxes[:, 0] + boxes[:, 2]) / 2
    clear = (boxes[:, 2] < 95) | (boxes[:, 0] > 105)
    bright = scores[:, 1].numpy() > 0.6
    assert (bright == (centres > 100))[clear].all()
    moved = np.minimum(boxes[:, 0] + 0.1 * (boxes[:, 2] - boxes[:, 0] + 1), 199)
    assert np.allclose(decoded[:, 0, 0].numpy(), moved, atol=1e-3)


def test_without_box_regression_a_detection_is_its_proposal(small_model: FastRCNN) -> None:
    model = brightness_model(small_model)
    boxes = np.array([[20.0, 20, 59, 59]], np.float32)
    settings = DetectSettings(box_regression=False, flip=True)
    decoded = score_boxes(model, IMAGE, Proposals(boxes), settings)[1]
    assert decoded[0].tolist() == [boxes[0].tolist()] * 2
