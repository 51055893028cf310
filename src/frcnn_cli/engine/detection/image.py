"""Detection: from an image and its proposals to boxes with class and score (paper, section 3)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frcnn_cli.engine.boxes import clip_boxes, decode_boxes, flip_boxes, iou_matrix
from frcnn_cli.engine.network.model import FastRCNN
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


class View(NamedTuple):
    """One look at an image: as it is, or mirrored left to right. boxes: (R, 4), in the view."""

    image: Image
    boxes: NDArray[np.float32]
    mirrored: bool


class ViewOutputs(NamedTuple):
    """The network's outputs for each box of a view."""

    view: View
    logits: Tensor
    offsets: Tensor


@torch.inference_mode()
def detect_image(
    model: FastRCNN, image: Image, proposals: Proposals, settings: DetectSettings
) -> Detections:
    """Detections in one RGB image (H, W, 3) uint8, highest score first.

    Forward once per view, decode the boxes of every class, clip them to the image, and suppress
    within each class; where settings.box_voting is over 0, suppressed boxes still count in the
    average that places a detection. A model of prepare_model is faster.
    """
    proposals = proposals.top(settings.proposals)
    if len(proposals) == 0:
        return Detections()
    views = _views(image, proposals.boxes, settings.flip)
    outputs = [read_view(model, view, settings) for view in views]
    scores = _mean([class_scores(model, each.logits) for each in outputs])
    decoded = _mean([_decode(model, each, settings) for each in outputs])
    clipped = clip_boxes(decoded, *image.shape[:2])

    # From here on one row per box and class: scores (M,), candidates (M, 4), labels (M,).
    scores, candidates, labels = _best_of_each_class(scores, clipped, settings.max_per_class)
    threshold = -math.inf if settings.score_threshold is None else settings.score_threshold
    passed = torch.nonzero(scores >= threshold).squeeze(1)
    # The operator works in continuous coordinates: + 1 on the far corner makes it inclusive.
    continuous = candidates[passed] + candidates.new_tensor([0.0, 0.0, 1.0, 1.0])
    unsuppressed = batched_nms(continuous, scores[passed], labels[passed], settings.nms_iou)
    kept = passed[unsuppressed[: settings.top_k]]

    boxes = candidates[kept]
    if settings.box_voting > 0 and _moves_boxes(model, settings):
        boxes = vote_boxes(boxes, labels[kept], candidates, labels, scores, settings.box_voting)
    return Detections(boxes.cpu().numpy(), scores[kept].cpu().numpy(), labels[kept].cpu().numpy())


@torch.inference_mode()
def score_boxes(
    model: FastRCNN,
    image: Image,
    proposals: Proposals,
    settings: DetectSettings | None = None,
) -> tuple[Tensor, Tensor]:
    """The first half of `detect_image`: every proposal's scores and boxes, before suppression.

    settings: scales, flip and box_regression are read. Without box regression, or by a network
    that was trained without (paper, section 5.1), every class has the proposal's own box.
    Returns scores (R, K + 1), probabilities or margins where SVMs classify (section 5.4), and
    boxes (R, K, 4), clipped, in original pixels.
    """
    settings = settings or DetectSettings()
    views = _views(image, proposals.boxes, settings.flip)
    outputs = [read_view(model, view, settings) for view in views]
    scores = _mean([class_scores(model, each.logits) for each in outputs])
    decoded = _mean([_decode(model, each, settings) for each in outputs])
    return scores, clip_boxes(decoded, *image.shape[:2])


def read_view(model: FastRCNN, view: View, settings: DetectSettings) -> ViewOutputs:
    """Run the network on a view, each box read at its scale."""
    image, boxes = view.image, view.boxes
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
    return ViewOutputs(view, torch.cat(logits)[order], torch.cat(offsets)[order])


def class_scores(model: FastRCNN, logits: Tensor) -> Tensor:
    """Scores (R, K + 1) of logits: probabilities, or for SVMs the margins unchanged."""
    if model.architecture.classifier == "softmax":
        return torch.softmax(logits, dim=1)
    return logits


def threshold_for(model: FastRCNN, given: float | None = None) -> float:
    """The lowest score of a box that counts: the given one, or the default.

    The default is a probability of 0.5, or for SVMs a margin of 0. Raises MisuseError for a
    probability outside 0..1.
    """
    if model.architecture.classifier == "svm":
        return 0.0 if given is None else given
    if given is not None and not 0 <= given <= 1:
        raise MisuseError(f"The score threshold is {given}; for probabilities it must be in 0..1.")
    return 0.5 if given is None else given


def _views(image: Image, boxes: NDArray[np.float32], flip: bool) -> list[View]:
    """The image with its proposals and, with `flip`, both mirrored."""
    views = [View(image, boxes, False)]
    if flip:
        mirrored = np.ascontiguousarray(image[:, ::-1])
        views.append(View(mirrored, flip_boxes(boxes, image.shape[1]), True))
    return views


def _decode(model: FastRCNN, outputs: ViewOutputs, settings: DetectSettings) -> Tensor:
    """The boxes (R, K, 4) of every class, in pixels of the image itself, not clipped."""
    view = outputs.view
    own = torch.from_numpy(view.boxes).to(outputs.offsets.device)
    if _moves_boxes(model, settings):
        offsets = model.denormalise(outputs.offsets)
        decoded = decode_boxes(own, offsets, model.architecture.box_coding)
    else:
        decoded = own[:, None].expand(-1, len(model.architecture.classes), -1)
    if not view.mirrored:
        return decoded
    width = view.image.shape[1]
    x1, y1, x2, y2 = decoded.unbind(-1)
    return torch.stack((width - 1 - x2, y1, width - 1 - x1, y2), dim=-1)


def _mean(of_views: list[Tensor]) -> Tensor:
    """The mean over one view, or over two."""
    return of_views[0] if len(of_views) == 1 else (of_views[0] + of_views[1]) / 2


def _moves_boxes(model: FastRCNN, settings: DetectSettings) -> bool:
    """Whether detections leave their proposals (paper, section 5.1)."""
    return settings.box_regression and model.architecture.box_regression


def _best_of_each_class(
    scores: Tensor, boxes: Tensor, max_per_class: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The best max_per_class boxes of each class.

    scores: (R, K + 1). boxes: (R, K, 4). Returns scores (M,), boxes (M, 4), labels (M,).
    """
    best, rows = scores[:, 1:].topk(min(max_per_class, len(scores)), dim=0)
    columns = torch.arange(best.shape[1], device=best.device).expand_as(best)
    return best.flatten(), boxes[rows.flatten(), columns.flatten()], columns.flatten() + 1


# Of an image with 100 detections and 20 classes of 300 boxes, this many at once are 40 MB.
_KEPT_AT_ONCE = 128


def vote_boxes(
    kept: Tensor, labels: Tensor, boxes: Tensor, box_labels: Tensor, scores: Tensor, iou: float
) -> Tensor:
    """Each of `kept` moved to the mean of the boxes of its class that overlap it by `iou`.

    The mean is weighted by score (S. Gidaris and N. Komodakis, ICCV 2015); scores
    under 0, as SVMs give, count as 0, and a box without any weight stays.
    kept (N, 4) with labels (N,): what suppression left. boxes (M, 4) with box_labels (M,) and
    scores (M,): what it was given. Inclusive corners in pixels. Returns (N, 4).
    """
    if len(kept) == 0:
        return kept
    weights = scores.clamp(min=0)
    parts = []
    chunks = (torch.split(kept, _KEPT_AT_ONCE), torch.split(labels, _KEPT_AT_ONCE))
    for some, some_labels in zip(*chunks, strict=True):
        votes = (iou_matrix(some, boxes) >= iou) & (some_labels[:, None] == box_labels)
        weighed = votes * weights
        total = weighed.sum(dim=1, keepdim=True)
        parts.append(torch.where(total > 0, weighed @ boxes / total, some))
    return torch.cat(parts)
