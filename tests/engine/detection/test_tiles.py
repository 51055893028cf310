"""Detection in tiles, compared with each tile cut out and detected in by hand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from itertools import pairwise

import numpy as np
import pytest
import torch
import torchvision

from frcnn_cli.engine.benchmarks.measuring import peak_growth
from frcnn_cli.engine.detection.image import detect_image
from frcnn_cli.engine.detection.tiles import (
    TiledProposals,
    assign_to_tiles,
    detect_in_tiles,
    propose_in_tiles,
    windows_of,
)
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.proposals.source_calls import SourceCalls
from frcnn_cli.engine.settings import Architecture, DetectSettings, Preprocessing, TileSettings
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.sources.dense import DenseBoxes

# Detections keep the boxes of their proposals, and all of them are kept.
AS_PROPOSED = DetectSettings(score_threshold=0.0, box_regression=False, nms_iou=1.0)
NOTHING = Proposals([])


def made_image(width: int, height: int) -> Image:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("overlap", [0, 0.2, 0.25, 0.9])
@pytest.mark.parametrize(("width", "height"), [(500, 330), (101, 100), (640, 90), (101, 999)])
def test_tiles_cover_the_image_and_overlap(width: int, height: int, overlap: float) -> None:
    windows = windows_of(TileSettings(100, overlap), width, height)
    covered = np.zeros((height, width), bool)
    for window in windows:
        assert (window.width, window.height) == (100, min(100, height))
        part = covered[window.y : window.y + window.height, window.x : window.x + window.width]
        assert part.shape == (window.height, window.width)  # inside the image
        part[:] = True
    assert covered.all()
    for length, starts in (
        (width, sorted({window.x for window in windows})),
        (height, sorted({window.y for window in windows})),
    ):
        step = 100 - round(100 * overlap)
        assert all(b - a <= step for a, b in pairwise(starts))
        # One tile less would not cover the image.
        assert len(starts) == 1 or 100 + (len(starts) - 2) * step < length
        longest = 100 - step + 1
        for first in range(length - longest + 1):
            assert any(s <= first and first + longest <= s + 100 for s in starts)


@pytest.mark.parametrize("size", [(100, 100), (100, 20), (7, 3)])
def test_an_image_of_one_tile_is_not_divided(size: tuple[int, int], small_model: FastRCNN) -> None:
    tiles, image = TileSettings(100), made_image(*size)
    assert windows_of(tiles, *size) == []
    with closing(SourceCalls(DenseBoxes(step=0.5))) as calls:
        proposals = propose_in_tiles(calls, tiles)("a", image)
    found = detect_in_tiles(small_model, image, proposals, AS_PROPOSED)
    expected = detect_image(small_model, image, proposals, AS_PROPOSED)
    assert len(found) > 0
    np.testing.assert_array_equal(found.boxes, expected.boxes)


def is_whole(box: list[float], x: int, y: int, width: int, height: int) -> bool:
    """Whether a tile of 100 x 100 at x, y shows the box at least 1 pixel away from its edges."""
    return (
        (x == 0 or box[0] >= x + 1)
        and (y == 0 or box[1] >= y + 1)
        and (x + 100 == width or box[2] <= x + 98)
        and (y + 100 == height or box[3] <= y + 98)
    )


@pytest.mark.parametrize("nms_iou", [0.3, 0.7])
def test_the_detections_of_every_tile_are_merged(nms_iou: float, small_model: FastRCNN) -> None:
    width, height, source = 220, 150, DenseBoxes(step=0.4)
    settings = DetectSettings(score_threshold=0.3, nms_iou=nms_iou, top_k=40, box_voting=0.6)
    image = made_image(width, height)
    with closing(SourceCalls(source)) as calls:
        proposals = propose_in_tiles(calls, TileSettings(100, 0.25))("a", image)
    found = detect_in_tiles(small_model, image, proposals, settings)

    whole = detect_image(small_model, image, source.propose(image), settings)
    boxes, scores = whole.boxes.tolist(), whole.scores.tolist()
    labels, dropped = whole.labels.tolist(), 0
    corners = [(x, y) for y in (0, 50) for x in (0, 60, 120)]
    for x, y in corners:
        tile = image[y : y + 100, x : x + 100].copy()
        part = detect_image(small_model, tile, source.propose(tile), settings)
        for box, score, label in zip(part.boxes.tolist(), part.scores, part.labels, strict=True):
            moved = [box[0] + x, box[1] + y, box[2] + x, box[3] + y]
            others = [is_whole(moved, *corner, width, height) for corner in corners]
            if any(others) and not is_whole(moved, x, y, width, height):
                dropped += 1
                continue
            boxes.append(moved)
            scores.append(float(score))
            labels.append(int(label))
    assert dropped > 0
    inclusive = torch.tensor(boxes) + torch.tensor([0, 0, 1, 1])
    kept = torchvision.ops.batched_nms(
        inclusive, torch.tensor(scores), torch.tensor(labels), nms_iou
    )[:40]
    assert len(found) == len(kept) > 10
    assert int(kept.max()) >= len(whole)  # some are of tiles
    np.testing.assert_allclose(found.boxes, np.array(boxes)[kept], atol=1e-4)
    np.testing.assert_allclose(found.scores, np.array(scores)[kept], rtol=1e-6)
    assert found.labels.tolist() == np.array(labels)[kept].tolist()


def test_a_cut_box_is_dropped_if_another_tile_contains_it(small_model: FastRCNN) -> None:
    """Two tiles, from x = 0 and from x = 80: they share the columns 80 to 99."""
    image = made_image(180, 100)
    cut_right, cut_left = (85, 10, 99, 50), (81, 60, 95, 90)
    cut_by_both, at_the_border, in_both = (60, 10, 99, 50), (0, 0, 30, 99), (85, 20, 95, 40)
    first, second = windows_of(TileSettings(100), 180, 100)

    def found_in(window: int, *boxes: tuple[int, ...]) -> set[tuple[float, ...]]:
        parts = [NOTHING, NOTHING]
        offset = [(first, second)[window].x, 0] * 2
        parts[window] = Proposals(np.array(boxes) - offset)
        tiled = TiledProposals([], tiles=((first, parts[0]), (second, parts[1])))
        found = detect_in_tiles(small_model, image, tiled, AS_PROPOSED)
        assert set(found.labels.tolist()) == {1, 2}
        return set(map(tuple, found.boxes.tolist()))

    assert found_in(0, cut_right, cut_by_both, at_the_border, in_both) == {
        cut_by_both,
        at_the_border,
        in_both,
    }
    assert found_in(1, (80, 60, 95, 90), in_both) == {in_both}
    assert found_in(1, cut_left, (80, 0, 120, 50)) == {cut_left, (80, 0, 120, 50)}


def test_given_boxes_are_read_in_every_tile_that_contains_them(small_model: FastRCNN) -> None:
    boxes = [(85, 10, 95, 50), (70, 10, 90, 50), (60, 0, 120, 99), (110.5, 0, 179, 99)]
    given = Proposals(boxes, [0.1, 0.2, 0.3, 0.4])
    tiled = assign_to_tiles(given, TileSettings(100), (180, 100))
    assert isinstance(tiled, TiledProposals)
    assert tiled.boxes.tolist() == [list(box) for box in boxes]
    assert tiled.scores is not None
    [(first, left), (second, right)] = tiled.tiles
    assert (first.x, second.x) == (0, 80)
    assert left.boxes.tolist() == [[85, 10, 95, 50], [70, 10, 90, 50]]
    assert right.boxes.tolist() == [[5, 10, 15, 50], [30.5, 0, 99, 99]]
    assert left.scores is not None
    assert left.scores.tolist() == pytest.approx([0.1, 0.2])
    found = detect_in_tiles(small_model, made_image(180, 100), tiled, AS_PROPOSED)
    assert set(map(tuple, found.boxes.tolist())) == set(boxes)


def test_the_best_rejected_score_is_that_of_all_tiles(small_model: FastRCNN) -> None:
    image, settings = made_image(180, 100), DetectSettings(score_threshold=1.0)
    with closing(SourceCalls(DenseBoxes(step=0.5))) as calls:
        proposals = propose_in_tiles(calls, TileSettings(100))("a", image)
    assert isinstance(proposals, TiledProposals)
    found = detect_in_tiles(small_model, image, proposals, settings)
    rejected = [
        detect_image(small_model, window.pixels_of(image), boxes, settings).best_rejected
        for window, boxes in proposals.tiles
    ]
    rejected.append(detect_image(small_model, image, proposals, settings).best_rejected)
    assert len(found) == 0
    assert found.best_rejected == max(score for score in rejected if score is not None)


@pytest.mark.parametrize(
    ("size", "overlap", "message"),
    [
        (0, None, "The side of a tile is 0 pixels; it must be in 32..100000"),
        (31, 0.5, "The side of a tile is 31 pixels"),
        (100_001, None, "The side of a tile is 100001 pixels"),
        (640, 1.0, "The overlap of tiles is 1; it is a share of their side, in 0..0.9"),
        (640, -0.1, "The overlap of tiles is -0.1"),
        (640, float("nan"), "The overlap of tiles is nan"),
        (None, 0.2, "An overlap of tiles has no effect without their side"),
    ],
)
def test_values_out_of_range(size: int | None, overlap: float | None, message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        TileSettings.of(size, overlap)


def detect_in(width: int, height: int) -> Callable[[], object]:
    """A function that makes an image of this size and detects in tiles of 500 x 500 pixels."""
    torch.manual_seed(0)
    small = Preprocessing(scale=64, max_size=120)
    model = FastRCNN(Architecture("efficientnet_lite0", ("cat", "dog"), (24, 16), small)).eval()
    propose = propose_in_tiles(SourceCalls(DenseBoxes([200], step=0.5)), TileSettings(500))

    def detect(image: Image) -> None:
        proposals = propose("a", image)
        assert isinstance(proposals, TiledProposals)
        assert len(proposals.tiles) >= image.size // (3 * 500**2)
        assert len(detect_in_tiles(model, image, proposals, AS_PROPOSED)) > 0

    detect(made_image(700, 600))  # loads the operators
    return lambda: detect(np.full((height, width, 3), 90, np.uint8))


def test_memory_grows_by_the_pixels_of_the_image_alone() -> None:
    """These take 3 bytes each; their tiles together would take 4.7 more."""
    sizes = ((1500, 1000), (6000, 4000))
    small, large = (peak_growth(detect_in, size) for size in sizes)
    assert (large - small) / (6000 * 4000 - 1500 * 1000) < 3.5
