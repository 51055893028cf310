"""The network on one view of an image: which RoIs each head reads, and what it returns.

Shapes: R proposals, S of them selected, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frcnn_cli.engine.boxes import continuous, decode_boxes
from frcnn_cli.engine.distributed.streams import to_device
from frcnn_cli.engine.network.layers.box_head import BoxHead, HeadOutputs
from frcnn_cli.engine.network.layers.weak_head import weak_scores
from frcnn_cli.engine.network.model import FastRCNN, Refined
from frcnn_cli.engine.network.transforms import (
    batch_images,
    batch_rois,
    distinct_windows,
    image_tensor,
    readings,
)
from frcnn_cli.engine.settings import DetectSettings
from frcnn_kernels import nms
from frcnn_proposals.base import Image, Proposals

# Proposals whose IoU with a better one is higher than this come after all others.
NEAR_DUPLICATE_IOU = 0.8
Rows = NDArray[np.int64]


class ViewOutputs(NamedTuple):
    """Outputs for the selected proposals.

    rows: (S,), their indices, ascending unless given. scores: (S, K + 1). boxes: (S, K, 4) in
    pixels of the view, not clipped. first, refined: what both come from, the outputs of the first
    head and, if there is one, of the second.
    """

    rows: Rows
    scores: Tensor
    boxes: Tensor
    first: HeadOutputs
    refined: Refined | None = None


@dataclass(frozen=True)
class Maps:
    """The feature maps of a view, one per scale, and the RoIs that are read from them.

    boxes: (S, 4), the proposals in pixels of the view. rois: (S, 5), in input pixels. of_map: (S,),
    the index of the map of each RoI. factors: (S,), from the view's to input pixels.
    """

    model: FastRCNN
    maps: tuple[Tensor, ...]
    boxes: NDArray[np.float32]
    rois: Tensor
    of_map: Rows
    factors: Tensor

    def only(self, rows: Rows) -> Maps:
        """The same maps with the RoIs at these indices."""
        index = torch.from_numpy(rows)
        return replace(
            self,
            boxes=self.boxes[rows],
            rois=self.rois[index],
            of_map=self.of_map[rows],
            factors=self.factors[index],
        )

    def objectness(self) -> Tensor:
        """The ranker's logits (S,)."""

        def read(features: Tensor, rois: Tensor) -> tuple[Tensor]:
            return (self.model.objectness(features, to_device(rois, features.device)),)

        return self.each(self.rois, read)[0].float()

    def first(self) -> HeadOutputs:
        """Outputs of the first head; RoIs with the same window of a map share them."""
        return HeadOutputs(*self.each(self.rois, self._distinct))

    def second(self, head: BoxHead, moved: Tensor) -> HeadOutputs:
        """Outputs of the second head for the moved RoIs (S, 5)."""
        return HeadOutputs(
            *self.each(moved, lambda features, rois: self.model.read(features, rois, head))
        )

    def _distinct(self, feature_map: Tensor, rois: Tensor) -> HeadOutputs:
        # On the CPU, so that it does not wait until the map is computed.
        distinct, index = distinct_windows(rois, self.model.stride)
        outputs = self.model.read(feature_map, to_device(distinct, feature_map.device))
        index = to_device(index, feature_map.device)
        return HeadOutputs(outputs.logits[index], outputs.offsets[index])

    def each(
        self, rois: Tensor, read: Callable[[Tensor, Tensor], tuple[Tensor, ...]]
    ) -> tuple[Tensor, ...]:
        """Read RoIs (S, 5) from their maps; results are in the order of the RoIs."""
        rows = [np.flatnonzero(self.of_map == index) for index in range(len(self.maps))]
        parts = [
            read(feature_map, rois[torch.from_numpy(of_map)])
            for feature_map, of_map in zip(self.maps, rows, strict=True)
        ]
        order = to_device(torch.from_numpy(np.argsort(np.concatenate(rows))), self.maps[0].device)
        return tuple(torch.cat(values)[order] for values in zip(*parts, strict=True))


def run_heads(maps: Maps, settings: DetectSettings, rows: Rows | None = None) -> ViewOutputs:
    """Run the heads on the RoIs of the maps.

    The heads read the settings.max_proposals best proposals, if there is a ranker. The second head
    reads as many of them, which the first one finds best. rows: read these proposals instead, in
    this order.
    """
    model, boxes = maps.model, maps.boxes
    most = settings.max_proposals
    chosen = np.arange(len(boxes)) if rows is None else rows
    if model.ranker is not None and rows is None and most < len(boxes):
        chosen = np.sort(ranked_order(maps.objectness().cpu(), boxes)[:most])
    if rows is not None or len(chosen) < len(boxes):
        maps = maps.only(chosen)
    outputs = maps.first()
    scores = class_scores(model, outputs.logits, torch.from_numpy(maps.boxes))
    if model.second is None:
        return ViewOutputs(chosen, scores, decoded_by_first(maps, outputs, settings), outputs)
    if rows is None and most < len(chosen):
        best = scores[:, 1:].amax(dim=1).sort(descending=True, stable=True).indices[:most]
        index = best.sort().values
        outputs, scores = HeadOutputs(outputs.logits[index], outputs.offsets[index]), scores[index]
        chosen, maps = chosen[index.cpu().numpy()], maps.only(index.cpu().numpy())
    moved = model.refine(maps.rois.to(scores.device), *outputs)
    refined = Refined(moved, *maps.second(model.second, moved))
    scores = (scores + class_scores(model, refined.logits, refined.rois[:, 1:])) / 2
    if not moves_boxes(model, settings):
        decoded = decoded_by_first(maps, outputs, settings)
    else:
        offsets = model.second.denormalise(refined.offsets)
        decoded = decode_boxes(moved[:, 1:], offsets, model.architecture.box_coding)
        decoded = decoded / maps.factors.to(decoded.device)[:, None, None]
    return ViewOutputs(chosen, scores, decoded, outputs, refined)


@torch.inference_mode()
def rank_proposals(
    model: FastRCNN, image: Image, boxes: NDArray[np.float32], settings: DetectSettings
) -> Proposals:
    """All proposals (R, 4) in the order of the model's ranker.

    Scores are the estimated IoU with an object; near duplicates have it minus 1, so that the
    scores descend too.
    """
    objectness = read_maps(model, image, boxes, settings).objectness().cpu()
    first, duplicates = _without_near_duplicates(objectness, boxes)
    scores = torch.sigmoid(objectness)
    ordered = torch.cat([scores[first], scores[duplicates] - 1])
    return Proposals(boxes[torch.cat([first, duplicates]).numpy()], ordered.numpy())


def ranked_order(objectness: Tensor, boxes: NDArray[np.float32]) -> Rows:
    """The order (R,) of proposals by a ranker: best first, near duplicates of better ones last.

    objectness: (R,), float32. Near duplicates are what non-maximum suppression at an IoU of
    NEAR_DUPLICATE_IOU removes; without this, the first boxes would surround the same few objects.
    """
    return torch.cat(_without_near_duplicates(objectness, boxes)).numpy()


def _without_near_duplicates(
    objectness: Tensor, boxes: NDArray[np.float32]
) -> tuple[Tensor, Tensor]:
    """The indices of the proposals that stay, and of their near duplicates; each best first."""
    first = nms(continuous(torch.from_numpy(boxes)), objectness, NEAR_DUPLICATE_IOU)
    by_score = objectness.sort(descending=True, stable=True).indices
    return first, by_score[~torch.isin(by_score, first)]


def class_scores(model: FastRCNN, logits: Tensor, boxes: Tensor) -> Tensor:
    """Scores (R, K + 1) from logits: probabilities, or the unchanged margins of SVMs.

    logits, boxes: of all RoIs of the image, since with image labels the scores of a RoI depend on
    the others. boxes: (R, 4), in pixels of any scale.
    """
    architecture = model.architecture
    if architecture.is_weak:
        boxes = boxes.to(logits.device)
        return weak_scores(
            logits, len(architecture.classes), boxes if architecture.voting else None
        )
    return logits if architecture.classifier == "svm" else torch.softmax(logits, dim=1)


def moves_boxes(model: FastRCNN, settings: DetectSettings) -> bool:
    """Whether box regression moves the detections (paper, section 5.1)."""
    return settings.box_regression and model.architecture.box_regression


def read_maps(
    model: FastRCNN, image: Image, boxes: NDArray[np.float32], settings: DetectSettings
) -> Maps:
    """Run the feature layers on an image, at the scale of each of its proposals (R, 4)."""
    device = model.offset_means.device
    maps: list[Tensor] = []
    rois = torch.zeros(len(boxes), 5)
    of_map, factors = np.zeros(len(boxes), np.int64), torch.ones(len(boxes))
    for reading in readings(boxes, image.shape[:2], model.architecture.preprocessing, settings):
        tensor, factor = image_tensor(image, reading.preprocessing)
        rows = torch.from_numpy(reading.rows)
        rois[rows] = batch_rois([boxes[reading.rows]], [factor])
        of_map[reading.rows], factors[rows] = len(maps), factor
        maps.append(model.features(to_device(batch_images([tensor]), device).to(model.dtype)))
    return Maps(model, tuple(maps), boxes, rois, of_map, factors)


def decoded_by_first(maps: Maps, outputs: HeadOutputs, settings: DetectSettings) -> Tensor:
    """The boxes (S, K, 4) of every class by the first head, or the proposals themselves."""
    model = maps.model
    proposals = torch.from_numpy(maps.boxes).to(outputs.offsets.device)
    if not moves_boxes(model, settings):
        return proposals[:, None].expand(-1, len(model.architecture.classes), -1)
    offsets = model.denormalise(outputs.offsets)
    return decode_boxes(proposals, offsets, model.architecture.box_coding)
