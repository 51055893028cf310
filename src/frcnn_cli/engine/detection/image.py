"""Detection in one image: from proposals to boxes with class and score (paper, section 3)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frcnn_cli.engine.boxes import clip_boxes, flip_boxes, iou_matrix
from frcnn_cli.engine.detection.views import moves_boxes, read_view
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.network.transforms import at_scales, image_scale
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.settings import DetectSettings, Preprocessing
from frcnn_cli.engine.settings.network import usual_threshold
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_kernels import batched_nms
from frcnn_proposals.base import Image, Proposals, Source
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.images import ReducedImage, Reduction, unreduced
from frcnn_proposals.sources.call import pixels_needed

_REDUCTIONS = (8, 4, 2)  # of libjpeg, greatest first


@torch.inference_mode()
def detect_image(
    model: FastRCNN, image: Image, proposals: Proposals, settings: DetectSettings
) -> Detections:
    """Detections in one RGB image (H, W, 3) uint8, highest score first.

    Runs the network once per view, decodes the boxes of every class, clips them to the image, and
    applies non-maximum suppression per class. If settings.box_voting is above 0, each detection
    is refined by an average that includes suppressed boxes. A model from prepare_model is faster.
    """
    proposals = proposals.top(settings.proposals)
    if len(proposals) == 0:
        return Detections()
    scores, clipped = _both_views(model, image, proposals.boxes, settings)

    # One row per box and class from here: scores (M,), candidates (M, 4), labels (M,).
    scores, candidates, labels = _best_of_each_class(scores, clipped, settings.max_per_class)
    threshold = -math.inf if settings.score_threshold is None else settings.score_threshold
    passed = torch.nonzero(scores >= threshold).squeeze(1)
    if len(passed) == 0 and len(scores) > 0:
        return Detections(best_rejected=float(scores.max()))
    # The operator uses continuous coordinates: adding 1 to x2 and y2 makes them inclusive.
    continuous = candidates[passed] + candidates.new_tensor([0.0, 0.0, 1.0, 1.0])
    unsuppressed = batched_nms(continuous, scores[passed], labels[passed], settings.nms_iou)
    detected = passed[unsuppressed[: settings.top_k]]

    boxes = candidates[detected]
    if settings.box_voting > 0 and moves_boxes(model, settings):
        boxes = vote_boxes(boxes, labels[detected], candidates, labels, scores, settings.box_voting)
    return Detections(
        boxes.cpu().numpy(), scores[detected].cpu().numpy(), labels[detected].cpu().numpy()
    )


def detect_reduced(
    model: FastRCNN, image: ReducedImage, proposals: Proposals, settings: DetectSettings
) -> Detections:
    """Detections in pixels of the original image, from proposals in those of the reduced one."""
    found = detect_image(model, image.pixels, proposals, settings)
    return replace(found, boxes=image.original(found.boxes))


@torch.inference_mode()
def score_boxes(
    model: FastRCNN,
    image: Image,
    proposals: Proposals,
    settings: DetectSettings | None = None,
) -> tuple[Tensor, Tensor]:
    """Scores and boxes of proposals before suppression: the first half of `detect_image`.

    settings: only scales, flip, box_regression and max_proposals are used. Without box regression
    in the settings or in the network (paper, section 5.1), the boxes of all classes are the
    proposal. Returns scores (S, K + 1), probabilities or the margins of SVMs (section 5.4), and
    boxes (S, K, 4), clipped, in pixels of the original image. S is the number of proposals, at most
    max_proposals for a model with a ranker or a second head.
    """
    settings = settings or DetectSettings()
    return _both_views(model, image, proposals.boxes, settings)


def reduction_for(
    preprocessing: Preprocessing, settings: DetectSettings, source: Source
) -> Reduction:
    """The greatest reduction that leaves the network and the source as many pixels as they read.

    Images are not reduced for a source that needs them as they are, such as a file of proposals,
    nor for the preprocessing of the first Fast R-CNN implementation: that of the presets `paper-*`
    and of imported Caffe models.
    """
    needed = pixels_needed(source)
    is_first = preprocessing.resize == "float32" or preprocessing.channels == "bgr"
    if needed is None or is_first:
        return unreduced
    scaled = at_scales(preprocessing, settings)

    def reduction(width: int, height: int) -> int:
        largest = max(image_scale(height, width, at_scale) for at_scale in scaled)
        for factor in _REDUCTIONS:
            pixels = (width // factor) * (height // factor)
            if largest * factor <= 1 and pixels >= needed:
                return factor
        return 1

    return reduction


def threshold_for(model: FastRCNN, given: float | None = None) -> float:
    """The score threshold: the given one, or the default.

    The default is that of usual_threshold. Raises MisuseError for a probability outside 0..1.
    """
    classifier = model.architecture.classifier
    if given is None:
        return usual_threshold(classifier)
    if classifier != "svm" and not 0 <= given <= 1:
        raise MisuseError(f"The score threshold is {given}; a probability must be from 0 to 1.")
    return given


def settings_for(
    model: FastRCNN, stored: DetectSettings, options: DetectionOptions | None = None
) -> DetectSettings:
    """The settings to detect with: those stored with the model, with the changes of `options`.

    The scores of an SVM classifier are margins, so the stored threshold, a probability, does not
    apply: the default is then 0. Raises MisuseError for values that do not apply to the model.
    """
    options = options or DetectionOptions()
    settings = options.applied_to(stored, model.architecture)
    is_svm = model.architecture.classifier == "svm"
    threshold = options.score_threshold if is_svm else settings.score_threshold
    return replace(settings, score_threshold=threshold_for(model, threshold))


def _both_views(
    model: FastRCNN, image: Image, boxes: NDArray[np.float32], settings: DetectSettings
) -> tuple[Tensor, Tensor]:
    """Scores (S, K + 1) and clipped boxes (S, K, 4); with flip, the means over both views.

    The selected proposals are those of the image as it is, also in its mirror image.
    """
    rows, scores, decoded = read_view(model, image, boxes, settings)
    if settings.flip:
        width = image.shape[1]
        mirrored = np.ascontiguousarray(image[:, ::-1])
        other = read_view(model, mirrored, flip_boxes(boxes, width), settings, rows)
        x1, y1, x2, y2 = other.boxes.unbind(-1)
        back = torch.stack((width - 1 - x2, y1, width - 1 - x1, y2), dim=-1)
        scores, decoded = (scores + other.scores) / 2, (decoded + back) / 2
    return scores, clip_boxes(decoded, *image.shape[:2])


def _best_of_each_class(
    scores: Tensor, boxes: Tensor, max_per_class: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The best max_per_class boxes of each class; of equal scores, the first ones.

    scores: (R, K + 1). boxes: (R, K, 4). Returns scores (M,), boxes (M, 4), labels (M,).
    """
    scores = scores[:, 1:]
    rows = _ranks(scores).topk(min(max_per_class, len(scores)), dim=0).indices
    best = scores.gather(0, rows)
    columns = torch.arange(best.shape[1], device=best.device).expand_as(best)
    return best.flatten(), boxes[rows.flatten(), columns.flatten()], columns.flatten() + 1


def _ranks(scores: Tensor) -> Tensor:
    """Different integers in the order of the scores of each column; int64 (R, K).

    Of equal scores, the first row has the largest integer. `topk` does not define their order, and
    a stable sort of all rows takes five times as long.
    """
    bits = (scores + 0.0).view(torch.int32)  # of positive numbers, in their order; -0 becomes 0
    increasing = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
    rows = torch.arange(len(scores), device=scores.device)
    return (increasing << 32) - rows[:, None]


# Detections per step: with 20 classes of 300 boxes each, a step needs 40 MB.
_VOTED_AT_ONCE = 128


def vote_boxes(
    kept: Tensor, labels: Tensor, boxes: Tensor, box_labels: Tensor, scores: Tensor, iou: float
) -> Tensor:
    """Box voting: the mean of all boxes of its class whose IoU with a detection is at least `iou`.

    The mean is weighted by score (S. Gidaris and N. Komodakis, ICCV 2015). Negative scores (of
    SVMs) count as 0; a detection whose weights are all 0 stays unchanged.
    kept (N, 4) with labels (N,): the detections after suppression. boxes (M, 4) with
    box_labels (M,) and scores (M,): the boxes before it. Inclusive corners in pixels. Returns the
    new boxes (N, 4) of the detections.
    """
    if len(kept) == 0:
        return kept
    chunks = (slice(start, start + _VOTED_AT_ONCE) for start in range(0, len(kept), _VOTED_AT_ONCE))
    voted = [vote_block(kept[c], labels[c], boxes, box_labels, scores, iou) for c in chunks]
    return torch.cat(voted)


def vote_block(
    kept: Tensor, labels: Tensor, boxes: Tensor, box_labels: Tensor, scores: Tensor, iou: float
) -> Tensor:
    """The boxes of `vote_boxes` with a matrix of N x M numbers, without a loop."""
    votes = (iou_matrix(kept, boxes) >= iou) & (labels[:, None] == box_labels)
    weighted = votes * scores.clamp(min=0)
    total = weighted.sum(dim=1, keepdim=True)
    return torch.where(total > 0, weighted @ boxes / total, kept)
