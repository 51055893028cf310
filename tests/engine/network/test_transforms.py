"""From original pixels to the network's input."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from frcnn_cli.engine.network.backbones.defaults import CAFFE_PIXELS
from frcnn_cli.engine.network.transforms import batch_images, batch_rois, image_scale, image_tensor
from frcnn_cli.engine.settings import Preprocessing


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(375, 500, 1.6), (500, 375, 1.6), (300, 600, 1000 / 600), (600, 1000, 1.0)],
)
def test_the_papers_scale(height: int, width: int, expected: float) -> None:
    assert image_scale(height, width, Preprocessing(600, 1000)) == pytest.approx(expected)


def test_pixels_are_normalised_by_channel() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., 0] = 255
    tensor, factor = image_tensor(image, Preprocessing(scale=64, max_size=64))
    assert factor == 1
    assert tensor[:, 5, 5].tolist() == pytest.approx(
        [(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225], rel=1e-5
    )


def test_caffe_pixels_are_blue_green_red_minus_the_means() -> None:
    means = (102.9801, 115.9465, 122.7717)
    caffe = Preprocessing(64, 64, "bgr", divisor=1.0, mean=means, std=(1.0, 1.0, 1.0))
    image = np.full((64, 64, 3), (10, 20, 30), np.uint8)
    tensor, _ = image_tensor(image, caffe)
    assert tensor[:, 0, 0].tolist() == pytest.approx(
        [30 - means[0], 20 - means[1], 10 - means[2]], rel=1e-5
    )


MEANS = np.array([102.9801, 115.9465, 122.7717], np.float32)


def first_implementation(bgr: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
    """The pixels of the first Fast R-CNN implementation, and the factor of the RoIs."""
    scale = min(600 / min(bgr.shape[:2]), 1000 / max(bgr.shape[:2]))
    image = bgr.astype(np.float32) - MEANS
    resized = cv2.resize(image, None, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    return resized, scale


@pytest.mark.parametrize(
    ("height", "width"),
    [(375, 500), (500, 353), (333, 500), (61, 83), (199, 1301), (1201, 1707), (3000, 40)],
)
def test_caffe_pixels_are_those_of_the_first_implementation(height: int, width: int) -> None:
    image = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    expected, scale = first_implementation(image[..., ::-1])
    tensor, factor = image_tensor(image, CAFFE_PIXELS)
    assert factor == scale
    assert np.array_equal(tensor.permute(1, 2, 0).numpy(), expected)
    rounded, same_factor = image_tensor(image, replace(CAFFE_PIXELS, resize="uint8"))
    assert same_factor == scale
    assert rounded.shape == tensor.shape
    if (height, width) != (3000, 40):  # this one is reduced to every third pixel
        assert (rounded - tensor).abs().max() > 0.4


@pytest.mark.parametrize(("height", "width"), [(1, 5000), (5000, 1), (2, 4001)])
def test_an_image_that_would_vanish_keeps_one_pixel(height: int, width: int) -> None:
    image = np.full((height, width, 3), 50, np.uint8)
    for resize in ("uint8", "float32"):
        tensor, _ = image_tensor(image, replace(CAFFE_PIXELS, resize=resize))
        assert min(tensor.shape[1:]) == 1
        assert max(tensor.shape[1:]) == 1000
        assert (tensor.amax((1, 2)) == tensor.amin((1, 2))).all()


def test_positions_are_multiplied_by_the_factor_of_the_rois() -> None:
    """A ramp has its own position as value, so each new pixel shows where it was read."""
    ramp = np.broadcast_to(np.arange(250, dtype=np.uint8)[None, :, None], (167, 250, 3))
    plain = Preprocessing(100, 200, divisor=1.0, mean=(0.0,) * 3, std=(1.0,) * 3, resize="float32")
    tensor, factor = image_tensor(np.ascontiguousarray(ramp), plain)
    inner = tensor[0, 50, 2:-2].numpy()
    positions = (np.arange(2, 2 + len(inner)) + 0.5) / factor - 0.5
    np.testing.assert_allclose(inner, positions, atol=1e-3)
    rounded, _ = image_tensor(np.ascontiguousarray(ramp), replace(plain, resize="uint8"))
    assert np.abs(rounded[0, 50, 2:-2].numpy() - positions).max() > 0.5


def test_smaller_images_are_padded_with_zeros_right_and_below() -> None:
    batch = batch_images([torch.ones(3, 4, 6), torch.ones(3, 5, 2)])
    assert batch.shape == (2, 3, 5, 6)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert batch[0].sum() == 3 * 24
    assert batch[1, :, :, 2:].abs().sum() == 0


def test_rois_contain_their_image_index_and_are_scaled() -> None:
    boxes = np.array([[10, 20, 30, 40]], np.float32)
    rois = batch_rois([boxes, boxes], [2.0, 0.5])
    assert rois.tolist() == [[0, 20, 40, 60, 80], [1, 5, 10, 15, 20]]
