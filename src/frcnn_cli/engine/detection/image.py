"""Detection: from an image and its proposals to boxes with class and score (paper, section 3)."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frcnn_cli.engine.boxes import clip_boxes, decode_boxes, flip_boxes
from frcnn_cli.engine.detection.box_voting import vote_boxes
from frcnn_cli.engine.network.model import FastRCNN, Outputs
from frcnn_cli.engine.network.transforms import (
    batch_images,
    batch_rois,
    distinct_windows,
    image_tensor,
    readings,
)
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.settings import DetectSettings
from frcnn_kernels import batched_nms
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import MisuseError


@torch.inference_mode()
def detect_image(
    model: FastRCNN, image: Image, proposals: Proposals, settings: DetectSettings
) -> Detections:
    """Detections in one RGB image (H, W, 3) uint8, highest score first.

    Forward once, decode the boxes of every class, clip them to the image, and suppress
    within each class; where settings.box_voting says so, what was suppressed still has a vote on
    where a detection is. A model of prepare_model is faster.
    """
    proposals = proposals.top(settings.proposals)
    if len(proposals) == 0:
        return Detections()
    scores, decoded = score_boxes(model, image, proposals, settings)
    scores, decoded, labels = _candidates(scores, decoded, settings.max_per_class)
    threshold = -math.inf if settings.score_threshold is None else settings.score_threshold
    passed = torch.nonzero(scores >= threshold).squeeze(1)
    unsuppressed = _suppress(decoded[passed], scores[passed], labels[passed], settings.nms_iou)
    kept = passed[unsuppressed[: settings.top_k]]
    boxes = decoded[kept]
    if settings.box_voting > 0 and _moves_boxes(model, settings):
        boxes = vote_boxes(boxes, labels[kept], decoded, labels, scores, settings.box_voting)
    return Detections(boxes.cpu().numpy(), scores[kept].cpu().numpy(), labels[kept].cpu().numpy())


@torch.inference_mode()
def score_boxes(
    model: FastRCNN,
    image: Image,
    proposals: Proposals,
    settings: DetectSettings | None = None,
) -> tuple[Tensor, Tensor]:
    """What the network says of each proposal, before anything is suppressed.

    settings: scales, flip and box_regression are read. Without box regression, or by a network
    that was trained without (paper, section 5.1), every class has the proposal's own box.
    Returns scores (R, K + 1), probabilities or margins where SVMs classify (section 5.4), and
    boxes (R, K, 4), clipped, in original pixels.
    """
    settings = settings or DetectSettings()
    scores, boxes = _score(model, image, proposals.boxes, settings)
    if settings.flip:
        width = image.shape[1]
        mirrored = np.ascontiguousarray(image[:, ::-1])
        others = _score(model, mirrored, flip_boxes(proposals.boxes, width), settings)
        scores = (scores + others[0]) / 2
        boxes = (boxes + _flip(others[1], width)) / 2
    return scores, clip_boxes(boxes, *image.shape[:2])


def threshold_for(model: FastRCNN, asked: float | None = None) -> float:
    """The score from which a box counts: as asked, or where it shows its class rather than not.

    That is a probability of 0.5, or of SVMs a margin of 0. Raises MisuseError for a
    probability outside 0..1.
    """
    if model.architecture.classifier == "svm":
        return 0.0 if asked is None else asked
    if asked is not None and not 0 <= asked <= 1:
        raise MisuseError(f"The score threshold is {asked}; of probabilities it lies in 0..1.")
    return 0.5 if asked is None else asked


def _score(
    model: FastRCNN, image: Image, boxes: NDArray[np.float32], settings: DetectSettings
) -> tuple[Tensor, Tensor]:
    """Scores (R, K + 1) and boxes (R, K, 4), not clipped, of one reading of an image."""
    architecture = model.architecture
    outputs = _outputs(model, image, boxes, settings)
    own = torch.from_numpy(boxes).to(outputs.offsets.device)
    if _moves_boxes(model, settings):
        offsets = model.denormalise(outputs.offsets)
        decoded = decode_boxes(own, offsets, architecture.box_coding)
    else:
        decoded = own[:, None].expand(-1, len(architecture.classes), -1)
    if architecture.classifier == "softmax":
        return torch.softmax(outputs.logits, dim=1), decoded
    return outputs.logits, decoded


def _moves_boxes(model: FastRCNN, settings: DetectSettings) -> bool:
    """Whether detections leave their proposals (paper, section 5.1)."""
    return settings.box_regression and model.architecture.box_regression


def _outputs(
    model: FastRCNN, image: Image, boxes: NDArray[np.float32], settings: DetectSettings
) -> Outputs:
    """The network's outputs for each of `boxes` (R, 4), each read at its scale."""
    device = model.offset_means.device
    rows, logits, offsets = [], [], []
    for reading in readings(boxes, image.shape[:2], model.architecture.preprocessing, settings):
        tensor, factor = image_tensor(image, reading.preprocessing)
        rois = batch_rois([boxes[reading.rows]], [factor])
        distinct, of_distinct = distinct_windows(rois, model.stride)
        outputs = model(batch_images([tensor]).to(device), distinct.to(device))
        # Proposals that share a window share its outputs; each is decoded from its own box.
        of_distinct = of_distinct.to(device)
        logits.append(outputs.logits[of_distinct])
        offsets.append(outputs.offsets[of_distinct])
        rows.append(reading.rows)
    order = torch.from_numpy(np.argsort(np.concatenate(rows))).to(device)
    return Outputs(torch.cat(logits)[order], torch.cat(offsets)[order])


def _flip(boxes: Tensor, width: int) -> Tensor:
    """Boxes (..., 4) of the mirrored image in the image itself."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack((width - 1 - x2, y1, width - 1 - x1, y2), dim=-1)


def _candidates(scores: Tensor, boxes: Tensor, max_per_class: int) -> tuple[Tensor, Tensor, Tensor]:
    """The best max_per_class boxes of each class.

    scores: (R, K + 1). boxes: (R, K, 4). Returns scores (M,), boxes (M, 4), labels (M,).
    """
    best, rows = scores[:, 1:].topk(min(max_per_class, len(scores)), dim=0)
    columns = torch.arange(best.shape[1], device=best.device).expand_as(best)
    return best.flatten(), boxes[rows.flatten(), columns.flatten()], columns.flatten() + 1


def _suppress(boxes: Tensor, scores: Tensor, labels: Tensor, iou: float) -> Tensor:
    """Indices kept by suppression within each class, highest score first."""
    # The operator works in continuous coordinates: + 1 on the far corner makes it inclusive.
    continuous = boxes + boxes.new_tensor([0.0, 0.0, 1.0, 1.0])
    return batched_nms(continuous, scores, labels, iou)
