"""A small compressed detector with Caffe's box coding, and proposals for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import frcnn
from frcnn_cli.engine.models.provenance import origin_of
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.backbones.defaults import CAFFE_PIXELS
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.network.transforms import image_scale
from frcnn_cli.engine.settings import Architecture, DetectSettings, Experiment, Preprocessing
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


def make_parts(cascade: bool = False, ranker: bool = False, **changes: object) -> FastRCNN:
    """The small detector with a second head, a ranker, or both."""
    model = make_detector(cascade=cascade, ranker=ranker, **changes)
    with torch.no_grad():
        if model.second is not None:
            model.second.score.weight *= 10
            model.second.offset_deviations *= torch.tensor([0.05, 0.05, 0.1, 0.1])
        if model.ranker is not None:
            model.ranker.objectness.weight *= 10  # so that the order is clear
    return model


def proposals_in(image: NDArray[np.uint8], count: int = 40) -> NDArray[np.float32]:
    """Boxes of all sizes in an image, some of them one pixel."""
    draw = np.random.default_rng(count)
    height, width = image.shape[:2]
    corners = draw.integers(0, (width, height), (2, count, 2)).astype(np.float32)
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)], axis=1)


def inputs_of(
    image: NDArray[np.uint8], boxes: NDArray[np.float32], preprocessing: Preprocessing
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What an exported file takes, with the image resized by OpenCV."""
    height, width = image.shape[:2]
    factor = image_scale(height, width, preprocessing)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    whole: NDArray[Any] = image
    if preprocessing.resize == "float32":
        whole = image.astype(np.float32)
    exactly = preprocessing.resize == "float32" and min(height, width) * factor >= 1
    options: dict[str, Any] = {"fx": factor, "fy": factor} if exactly else {}
    resized = cv2.resize(
        whole, None if exactly else size, interpolation=cv2.INTER_LINEAR, **options
    )
    return (
        torch.from_numpy(resized),
        torch.from_numpy(boxes),
        torch.tensor(factor, dtype=torch.float32),
        torch.tensor([height, width]),
    )


def stored_model(model: FastRCNN, path: Path, detect: DetectSettings) -> Path:
    """The model in a file, with these settings of detection."""
    save_model(model, path, origin_of(Experiment(detect=detect), ""))
    return path


@dataclass(frozen=True)
class Complete:
    """A detector with all parts, and its file with non-maximum suppression."""

    detector: frcnn.Detector
    onnx: Path
