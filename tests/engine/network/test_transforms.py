"""From original pixels to the network's input."""

import numpy as np
import pytest
import torch

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
