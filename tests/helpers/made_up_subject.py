"""A page on one generated image by an untrained network, whose numbers are not degenerate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.network.transforms import batch_images, image_tensor
from frcnn_cli.engine.pages.explain.subject import Subject, make_subject
from frcnn_cli.engine.records import GroundTruth
from frcnn_cli.engine.settings import Architecture, DetectSettings, Preprocessing
from frcnn_proposals.sources.dense import DenseBoxes

CLASSES = ("cat", "dog", "<b>cow</b>")
ARCHITECTURE = Architecture(
    backbone="efficientnet_lite0",
    classes=CLASSES,
    hidden=(24, 16),
    preprocessing=Preprocessing(scale=96, max_size=160),
)
TRUTH = GroundTruth(
    np.array([[10, 20, 60, 90], [70, 5, 120, 50], [0, 0, 15, 15]], np.float32),
    np.array([1, 3, 2]),
    np.array([False, False, True]),
)


def made_up_image() -> np.ndarray:
    """Two rectangles on a background of noise, (96, 128, 3) uint8."""
    image = np.random.default_rng(0).integers(0, 60, (96, 128, 3), np.uint8)
    image[20:91, 10:61] += np.array([150, 60, 20], np.uint8)
    image[5:51, 70:121] += np.array([10, 120, 190], np.uint8)
    return image


def made_up_model(cascade: bool = False, ranker: bool = False) -> FastRCNN:
    """Its feature map, layers and logits have a deviation of about 1, so that RoIs differ."""
    torch.manual_seed(0)
    model = FastRCNN(replace(ARCHITECTURE, cascade=cascade, ranker=ranker)).eval()
    tensor, _ = image_tensor(made_up_image(), ARCHITECTURE.preprocessing)
    laterals = model.features.get_submodule("laterals")  # whose sum is the map
    with torch.no_grad():
        factor = 1 / model.features(batch_images([tensor])).std()
        for parameter in laterals.parameters():
            parameter.mul_(factor)
        for head in model.heads:
            for layer in (head.fc6, head.fc7):
                nn.init.kaiming_normal_(layer.weight)
            head.score.weight.normal_(std=0.25)
            head.box.weight.normal_(std=0.25)
            head.offset_means.uniform_(-0.05, 0.05)
            head.offset_deviations.uniform_(0.1, 0.2)
    return model


def made_up_subject(
    has_truth: bool = True,
    cascade: bool = False,
    ranker: bool = False,
    threshold: float = 0.3,
    count: int = 300,
) -> Subject:
    """The subject of the image. threshold: of the detections' scores. count: of proposals.

    Detection with a second head has box voting, too.
    """
    image = made_up_image()
    proposals = DenseBoxes().propose(image).top(count)
    settings = DetectSettings(
        score_threshold=threshold, max_proposals=100, box_voting=0.5 if cascade else 0.0
    )
    truth = TRUTH if has_truth else None
    return make_subject(
        made_up_model(cascade, ranker), image, proposals, settings, truth, "<i>made</i> up"
    )
