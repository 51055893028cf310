"""Box arithmetic compared with numbers computed by hand."""

import tracemalloc

import numpy as np
import pytest
import torch

from frcnn_cli.engine.boxes import (
    areas,
    best_overlaps,
    clip_boxes,
    continuous,
    decode_boxes,
    encode_boxes,
    flip_boxes,
    iou_matrix,
)


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_areas_count_inclusive_pixels() -> None:
    assert areas(boxes((0, 0, 9, 4), (3, 3, 3, 3))).tolist() == [50, 1]


def test_iou_by_hand() -> None:
    # 10 x 10 and 10 x 10, shifted by 5: 50 shared of 150. Neighbouring pixels share nothing.
    found = iou_matrix(boxes((0, 0, 9, 9)), boxes((5, 0, 14, 9), (0, 0, 9, 9), (10, 0, 19, 9)))
    assert found == pytest.approx(np.array([[1 / 3, 1.0, 0.0]]))


def test_continuous_corners_have_the_same_sides_and_areas() -> None:
    given = torch.from_numpy(boxes((0, 0, 9, 4), (3, 3, 3, 3)))
    x1, y1, x2, y2 = continuous(given).unbind(-1)
    assert ((x2 - x1) * (y2 - y1)).tolist() == areas(given).tolist()
    assert torch.equal(torch.stack([x1, y1]), given[:, :2].T)


def test_iou_of_no_boxes_has_the_right_shape() -> None:
    assert iou_matrix(boxes(), boxes((0, 0, 1, 1))).shape == (0, 1)


def test_iou_is_equal_for_tensors_and_arrays() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 100, (60, 2))
    many = np.hstack([corners, corners + rng.uniform(0, 50, (60, 2))]).astype(np.float32)
    a, b = many[:20], many[20:]
    found = iou_matrix(torch.from_numpy(a), torch.from_numpy(b))
    np.testing.assert_allclose(found.numpy(), iou_matrix(a, b), rtol=1e-5)


def random_boxes(count: int) -> np.ndarray:
    rng = np.random.default_rng(count)
    corners = rng.integers(0, 300, (count, 2))
    return np.hstack([corners, corners + rng.integers(0, 90, (count, 2))]).astype(np.float32)


@pytest.mark.parametrize("counts", [(0, 3), (1, 1), (7, 2000), (3000, 900)])
def test_best_overlaps_are_those_of_the_matrix(counts: tuple[int, int]) -> None:
    some, objects = map(random_boxes, counts)
    matrix = iou_matrix(some, objects)
    best, overlap = best_overlaps(some, objects)
    assert np.array_equal(best, matrix.argmax(axis=1))
    assert np.array_equal(overlap, matrix.max(axis=1))
    assert overlap.dtype == np.float32


def test_memory_of_best_overlaps_does_not_grow_with_the_matrix() -> None:
    some, objects = random_boxes(4000), random_boxes(10_000)  # a matrix of 160 MB
    tracemalloc.start()
    best_overlaps(some, objects)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6


def test_clip_stops_at_the_last_pixel() -> None:
    clipped = clip_boxes(torch.tensor([[-3.0, 2.0, 99.0, 50.0]]), height=40, width=60)
    assert clipped.tolist() == [[0, 2, 59, 39]]


def test_flipping_twice_restores_the_box() -> None:
    original = boxes((0, 1, 9, 5), (10, 0, 99, 7))
    flipped = flip_boxes(original, width=100)
    assert flipped.tolist() == [[90, 1, 99, 5], [0, 0, 89, 7]]
    assert np.array_equal(flip_boxes(flipped, width=100), original)


def test_encode_by_hand() -> None:
    # P: 10 wide, 20 high, centre (5, 10). G: 20 wide, 10 high, centre (20, 10).
    proposal, target = torch.tensor([[0.0, 0, 9, 19]]), torch.tensor([[10.0, 5, 29, 14]])
    expected = [1.5, 0.0, np.log(2.0), np.log(0.5)]
    assert encode_boxes(proposal, target)[0].tolist() == pytest.approx(expected)


def test_widths_of_the_first_implementation_exclude_the_last_pixel() -> None:
    # Widths 10 and 20 as x2 - x1.
    proposal, target = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[0.0, 0, 20, 10]])
    assert encode_boxes(proposal, target, "caffe")[0].tolist() == pytest.approx(
        [0.5, 0.0, np.log(2.0), 0.0], abs=1e-6
    )


@pytest.mark.parametrize("coding", ["inclusive", "caffe"])
def test_decode_inverts_encode(coding: str) -> None:
    generator = torch.Generator().manual_seed(3)
    corners = torch.rand(2, 50, 2, generator=generator) * 300
    sizes = torch.rand(2, 50, 2, generator=generator) * 200 + 5
    proposals, targets = torch.cat([corners, corners + sizes], dim=2)
    decoded = decode_boxes(proposals, encode_boxes(proposals, targets, coding), coding)
    assert decoded.shape == (50, 1, 4)
    assert torch.allclose(decoded[:, 0], targets, atol=1e-3)


def test_decode_uses_the_offsets_of_each_class() -> None:
    proposal = torch.tensor([[0.0, 0, 9, 9]])
    offsets = torch.tensor([[0.0, 0, 0, 0, 1.0, 0, 0, 0]])
    assert decode_boxes(proposal, offsets).tolist() == [[[0, 0, 9, 9], [10, 0, 19, 9]]]


def test_an_extreme_offset_gives_a_finite_box() -> None:
    decoded = decode_boxes(torch.tensor([[0.0, 0, 9, 9]]), torch.full((1, 4), 1e4))
    assert torch.isfinite(decoded).all()
