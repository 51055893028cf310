"""Detection in one image: from proposals to boxes with class and score (paper, section 3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frcnn_cli.engine.boxes import clip_boxes, flip_boxes
from frcnn_cli.engine.detection.suppression import (
    Candidates,
    best_of_each_class,
    suppress,
    vote_boxes,
)
from frcnn_cli.engine.detection.views import (
    Maps,
    ViewOutputs,
    moves_boxes,
    read_maps,
    run_heads,
)
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.settings import DetectSettings
from frcnn_cli.engine.settings.network import usual_threshold
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import MisuseError


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
    views = read_views(model, image, proposals.boxes, settings)
    return detect_in_views(model, views, image.shape[:2], settings)


@torch.inference_mode()
def detect_in_views(
    model: FastRCNN, views: Iterable[Maps], size: tuple[int, int], settings: DetectSettings
) -> Detections:
    """The detections of `detect_image` from feature maps, which several heads can share.

    views: by `read_views`. size: height and width of the image.
    """
    found = candidates_of(score_views(views, size, settings), settings)
    detected = suppress(found, settings)
    if len(detected) == 0 and len(found.scores) > 0:
        return Detections(best_rejected=float(found.scores.max()))
    boxes, labels = found.boxes[detected], found.labels[detected]
    if settings.box_voting > 0 and moves_boxes(model, settings):
        boxes = vote_boxes(
            boxes, labels, found.boxes, found.labels, found.scores, settings.box_voting
        )
    return Detections(
        boxes.cpu().numpy(), found.scores[detected].cpu().numpy(), labels.cpu().numpy()
    )


def candidates_of(outputs: ViewOutputs, settings: DetectSettings) -> Candidates:
    """The boxes that suppression compares; `rows` are the indices of their proposals."""
    best = best_of_each_class(outputs.scores, outputs.boxes, settings.max_per_class)
    return best._replace(rows=torch.from_numpy(outputs.rows).to(best.rows.device)[best.rows])


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
    views = read_views(model, image, proposals.boxes, settings)
    outputs = score_views(views, image.shape[:2], settings)
    return outputs.scores, outputs.boxes


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


def read_views(
    model: FastRCNN, image: Image, boxes: NDArray[np.float32], settings: DetectSettings
) -> Iterator[Maps]:
    """The feature maps of an image with proposals (R, 4); with flip, also of its mirror image.

    The maps of each view are computed when they are taken, so that those of one view can be freed
    before the next. The caller decides whether gradients are recorded.
    """
    yield read_maps(model, image, boxes, settings)
    if settings.flip:
        mirrored = np.ascontiguousarray(image[:, ::-1])
        yield read_maps(model, mirrored, flip_boxes(boxes, image.shape[1]), settings)


@torch.inference_mode()
def score_views(
    views: Iterable[Maps], size: tuple[int, int], settings: DetectSettings
) -> ViewOutputs:
    """Scores (S, K + 1) and clipped boxes (S, K, 4); with flip, the means over both views.

    The selected proposals are those of the image as it is, also in its mirror image.
    """
    views = iter(views)
    outputs = run_heads(next(views), settings)
    scores, decoded = outputs.scores, outputs.boxes
    for view in views:
        other = run_heads(view, settings, outputs.rows)
        x1, y1, x2, y2 = other.boxes.unbind(-1)
        back = torch.stack((size[1] - 1 - x2, y1, size[1] - 1 - x1, y2), dim=-1)
        scores, decoded = (scores + other.scores) / 2, (decoded + back) / 2
    return outputs._replace(scores=scores, boxes=clip_boxes(decoded, *size))
