"""A small compressed detector with Caffe's box coding, and proposals for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from frcnn_cli.engine.network.backbones.defaults import CAFFE_PIXELS
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture
from frcnn_cli.engine.settings.network import Resize


def make_detector(resize: Resize = "uint8", **changes: object) -> FastRCNN:
    """A CaffeNet detector (groups, normalisation, ceil pooling) with outputs that vary by RoI."""
    torch.manual_seed(0)
    architecture = Architecture(
        "caffenet",
        ("cat", "dog", "häuser"),
        (16, 12),
        replace(CAFFE_PIXELS.at_scale(160), resize=resize),
        **{"box_coding": "caffe", "ranks": {"fc6": 8, "fc7": 5}, **changes},  # type: ignore[arg-type]
    )
    model = FastRCNN(architecture).eval()
    with torch.no_grad():
        model.fc6.first.weight *= 4
        model.score.weight *= 10
        model.offset_means += torch.tensor([0.02, -0.01, 0.05, 0.03])
        model.offset_deviations *= torch.tensor([0.1, 0.1, 0.2, 0.2])
    return model


def proposals_in(image: NDArray[np.uint8], count: int = 40) -> NDArray[np.float32]:
    """Boxes of all sizes in an image, some of them one pixel."""
    draw = np.random.default_rng(count)
    height, width = image.shape[:2]
    corners = draw.integers(0, (width, height), (2, count, 2)).astype(np.float32)
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)], axis=1)
