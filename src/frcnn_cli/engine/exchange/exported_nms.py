"""A detector with non-maximum suppression as one function of tensors, for export."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from frcnn_cli.engine.detection.suppression import vote_block
from frcnn_cli.engine.detection.views import moves_boxes
from frcnn_cli.engine.exchange.exported import ExportedDetector, Reading
from frcnn_cli.engine.exchange.plain_selection import overlaps_more, survivors
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.errors import MisuseError


def check_nms_settings(settings: DetectSettings) -> None:
    """Raise MisuseError for settings of detection that an exported program cannot follow."""
    unsupported = [
        *(["detect.scales"] if settings.scales else []),
        *(["detect.flip"] if settings.flip else []),
    ]
    if unsupported:
        raise MisuseError(
            f"--with-nms does not support the model's setting of {' and '.join(unsupported)}: the "
            "exported program takes one view of an image.\n"
            "Export without --with-nms, run the program on each view, and combine the results."
        )


class DetectorWithNms(nn.Module):
    """Boxes, scores and labels of the detections, equal to those of `detect_image`.

    The scores and boxes of all proposals come before them. settings: without several scales and
    flip.
    """

    def __init__(
        self, model: FastRCNN, plain: bool, settings: DetectSettings | None = None
    ) -> None:
        super().__init__()
        self.settings = settings or DetectSettings()
        self.detector = ExportedDetector(model, plain, self.settings, share_windows=True)
        voting = moves_boxes(model, self.settings)
        self.box_voting = self.settings.box_voting if voting else 0.0

    def forward(
        self, image: Tensor, boxes: Tensor, scale: Tensor, size: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Arguments and results: see `_MEANINGS` in exported.py."""
        count = torch.sym_min(self.settings.proposals, boxes.shape[0])
        reading = self.detector.read(image, boxes[:count], scale, size)
        return *reading.marked(), *self.detect(reading)

    def detect(self, reading: Reading) -> tuple[Tensor, Tensor, Tensor]:
        """The detections among the boxes of all classes, best first."""
        scores, boxes = self._best_of_each_class(reading)
        most, classes = scores.shape
        threshold = self.settings.score_threshold
        threshold = torch.finfo(scores.dtype).min if threshold is None else threshold
        by_class = boxes.transpose(0, 1)
        ahead = torch.ones(most, most, dtype=torch.bool).tril(-1)  # in the order of the scores
        near = overlaps_more(by_class, self.settings.nms_iou) & ahead
        passed = scores.T.ge(threshold)
        stays = survivors(near.float(), passed.float()).T
        # Of equal scores, the first box in this order of rows is first, as in detect_image.
        scores, boxes = scores.flatten(), boxes.flatten(0, 1)
        labels = torch.arange(1, classes + 1).repeat(most)
        kept = torch.where(stays.flatten() > 0, scores, -math.inf)
        best, rows = kept.sort(descending=True, stable=True)
        best, rows = best[: self.settings.top_k], rows[: self.settings.top_k]
        detected, found = boxes[rows], labels[rows]
        if self.box_voting > 0:
            detected = vote_block(detected, found, boxes, labels, scores, self.box_voting)
        is_detection = torch.isfinite(best)
        return detected[is_detection], best[is_detection], found[is_detection]

    def _best_of_each_class(self, reading: Reading) -> tuple[Tensor, Tensor]:
        """Scores (M, K) and boxes (M, K, 4) of the max_per_class = M best boxes of each class.

        If there are fewer, the rest has the score minus infinity.
        """
        most = self.settings.max_per_class
        scores = torch.where(reading.finite, reading.scores[:, 1:], -math.inf)
        boxes = torch.where(reading.finite[..., None], reading.boxes, 0.0)
        classes = boxes.shape[1]
        scores = torch.cat([scores, torch.full((most, classes), -math.inf)])
        boxes = torch.cat([boxes, torch.zeros(most, classes, 4)])
        scores, rows = scores.sort(dim=0, descending=True, stable=True)
        return scores[:most], boxes.gather(0, rows[:most, :, None].expand(-1, -1, 4))


def exported_module(
    model: FastRCNN, plain: bool, settings: DetectSettings, with_nms: bool
) -> nn.Module:
    """The function to export: with non-maximum suppression, or of the proposals alone."""
    return (DetectorWithNms if with_nms else ExportedDetector)(model, plain, settings)
