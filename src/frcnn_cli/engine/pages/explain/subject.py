"""The image that the page explains, with what every section needs of the network.

Shapes: R proposals, K classes, a feature map of C channels and h x w cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from frcnn_cli.engine.detection.image import detect_in_views
from frcnn_cli.engine.detection.views import Maps, ViewOutputs, class_scores, read_maps, run_heads
from frcnn_cli.engine.network.layers.box_head import HeadOutputs
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.network.receptive_field import Window
from frcnn_cli.engine.network.transforms import image_scale, input_size
from frcnn_cli.engine.pages.explain.chosen import Reason, choose_rois
from frcnn_cli.engine.records import Detections, GroundTruth
from frcnn_cli.engine.settings import DetectSettings
from frcnn_kernels.reference import roi_window, sub_windows
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import InputError


@dataclass(frozen=True)
class Subject:
    """One image, its proposals, and what the network computes for them in float32.

    image: (H, W, 3) uint8, RGB. model: in evaluation mode on the CPU, not prepared. settings: of
    detection, at the model's single scale and without the mirror image. proposals: in pixels of
    the image, in the order of their source. truth: None if it is not known. scale: input pixels
    per pixel of the image. maps: the feature map and the RoIs, as the heads of any model read them.
    outputs: of the first head for all RoIs. scores: (R, K + 1), its class scores, column 0 is the
    background. detections: of the whole model. chosen: indices of the proposals that the page
    shows in full; reasons: why, parallel to them.
    """

    image: Image
    image_id: str
    model: FastRCNN
    settings: DetectSettings
    proposals: Proposals
    truth: GroundTruth | None
    scale: float
    maps: Maps
    outputs: HeadOutputs
    scores: Tensor
    detections: Detections
    chosen: tuple[int, ...]
    reasons: tuple[Reason, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names without the background; label i is classes[i - 1]."""
        return self.model.architecture.classes

    @property
    def rois(self) -> Tensor:
        """The RoIs (R, 5) in input pixels, as the network reads them."""
        return self.maps.rois

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of the network's input."""
        width, height = input_size(self.image, self.scale)
        return height, width

    @property
    def feature_map(self) -> Tensor:
        """The feature map (1, C, h, w)."""
        return self.maps.maps[0]

    @property
    def chosen_rois(self) -> Tensor:
        """The RoIs that the page shows in full, (up to 40, 5)."""
        return self.rois[torch.tensor(self.chosen)]

    @cached_property
    def chosen_outputs(self) -> ViewOutputs:
        """Outputs of all heads for the RoIs that the page shows in full, in their order."""
        with torch.no_grad():
            return run_heads(self.maps, self.settings, np.array(self.chosen, np.int64))

    def chosen_windows(self) -> list[Window | None]:
        """The cells of the map from which each of them is pooled; None if there are none."""
        model, size = self.model, self.feature_map.shape[2:]
        windows: list[Window | None] = []
        for _, x1, y1, x2, y2 in self.chosen_rois.tolist():
            rows, columns = (
                range(bins[0][0], bins[-1][1])
                for corners, count, cells in zip(
                    ((y1, y2), (x1, x2)), model.pooled, size, strict=True
                )
                for bins in [sub_windows(*roi_window(*corners, 1 / model.stride), count, cells)]
            )
            windows.append(Window(rows, columns) if rows and columns else None)
        return windows


def make_subject(
    model: FastRCNN,
    image: Image,
    proposals: Proposals,
    settings: DetectSettings | None = None,
    truth: GroundTruth | None = None,
    image_id: str = "image",
    seed: int = 0,
) -> Subject:
    """Run the network on an image. seed: of the proposals that are chosen at random.

    Raises InputError without proposals: all that the page explains begins with them.
    """
    settings = replace(settings or DetectSettings(), scales=(), flip=False, precision="float32")
    proposals = proposals.top(settings.proposals)
    if len(proposals) == 0:
        raise InputError(
            f"{image_id}: there are no proposals, so there is nothing to explain.\n"
            "Compute them with another source, such as --source dense."
        )
    # Not in inference mode, whose tensors cannot take part in a later backward pass.
    with torch.no_grad():
        maps = read_maps(model, image, proposals.boxes, settings)
        outputs = maps.first()
        scores = class_scores(model, outputs.logits, torch.from_numpy(proposals.boxes))
    height, width = image.shape[:2]
    detections = detect_in_views(model, (maps,), (height, width), settings)
    chosen = choose_rois(proposals.boxes, scores, truth, detections, np.random.default_rng(seed))
    return Subject(
        image=image,
        image_id=image_id,
        model=model,
        settings=settings,
        proposals=proposals,
        truth=truth,
        scale=image_scale(height, width, model.architecture.preprocessing),
        maps=maps,
        outputs=outputs,
        scores=scores,
        detections=detections,
        chosen=tuple(chosen),
        reasons=tuple(chosen.values()),
    )
