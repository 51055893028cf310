"""Detection: from an image and its proposals to boxes with class and score (paper, section 3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from frcnn_cli.engine.backbones import STRIDE
from frcnn_cli.engine.boxes import clip_boxes, decode_boxes
from frcnn_cli.engine.model import FastRCNN
from frcnn_cli.engine.records import Dataset, Detections
from frcnn_cli.engine.settings import DetectSettings
from frcnn_cli.engine.transforms import batch_images, batch_rois, image_tensor
from frcnn_kernels import batched_nms
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.images import read_image


@dataclass(frozen=True)
class DatasetDetections:
    """Detections by image id, and a message for each image that could not be read."""

    detections: dict[str, Detections]
    unreadable: tuple[str, ...]


@torch.inference_mode()
def detect_image(
    model: FastRCNN, image: Image, proposals: Proposals, settings: DetectSettings
) -> Detections:
    """Detections in one RGB image (H, W, 3) uint8, highest score first.

    Forward once, decode the boxes of every class, clip them to the image, and suppress
    within each class.
    """
    if settings.scales:
        raise MisuseError("Detection at several scales: not there yet.")
    boxes = proposals.top(settings.proposals).boxes
    if len(boxes) == 0:
        return Detections()
    scores, decoded = score_boxes(
        model, image, proposals.top(settings.proposals), settings.box_regression
    )
    scores, decoded, labels = _candidates(scores, decoded, settings)
    kept = _suppress(decoded, scores, labels, settings.nms_iou)[: settings.top_k]
    return Detections(
        decoded[kept].cpu().numpy(), scores[kept].cpu().numpy(), labels[kept].cpu().numpy()
    )


def detect_dataset(
    model: FastRCNN,
    dataset: Dataset,
    proposals: Mapping[str, Proposals],
    settings: DetectSettings,
    on_image: Callable[[], None] = lambda: None,
) -> DatasetDetections:
    """Detections in every image of a data set; one that cannot be read does not stop the rest."""
    found, unreadable = {}, []
    for record in dataset.images:
        try:
            image = read_image(record.path)
            found[record.image_id] = detect_image(
                model, image, proposals[record.image_id], settings
            )
        except InputError as error:
            unreadable.append(str(error))
        on_image()
    return DatasetDetections(found, tuple(unreadable))


@torch.inference_mode()
def score_boxes(
    model: FastRCNN, image: Image, proposals: Proposals, box_regression: bool = True
) -> tuple[Tensor, Tensor]:
    """What the network says of each proposal, before anything is suppressed.

    box_regression: False, or a network that was trained without (section 5.1), gives every
    class the proposal's own box. Returns scores (R, K + 1) and boxes (R, K, 4), clipped, in
    original pixels. Scores are probabilities, or margins where SVMs classify (section 5.4).
    """
    device = model.offset_means.device
    tensor, factor = image_tensor(image, model.architecture.preprocessing)
    rois = batch_rois([proposals.boxes], [factor])
    distinct, of_distinct = distinct_windows(rois)
    outputs = model(batch_images([tensor]).to(device), distinct.to(device))
    of_distinct = of_distinct.to(device)
    own = torch.from_numpy(proposals.boxes).to(device)
    if box_regression and model.architecture.box_regression:
        # Proposals that share a window share its offsets, each applied to its own box.
        offsets = model.denormalise(outputs.offsets)[of_distinct]
        boxes = decode_boxes(own, offsets, model.architecture.box_coding)
    else:
        boxes = own[:, None].expand(-1, len(model.architecture.classes), -1)
    scores = outputs.logits
    if model.architecture.classifier == "softmax":
        scores = torch.softmax(scores, dim=1)
    return scores[of_distinct], clip_boxes(boxes, *image.shape[:2])


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


def distinct_windows(rois: Tensor) -> tuple[Tensor, Tensor]:
    """One RoI for each window of the feature map, and for each RoI its window's index.

    RoI pooling rounds corners to cells, so RoIs with the same rounded corners pool the same.
    rois: (R, 5). Returns (D, 5) and int64 (R,).
    """
    scaled = rois[:, 1:] * (1.0 / STRIDE)
    cells = torch.floor(scaled + 0.5).where(scaled >= 0, torch.ceil(scaled - 0.5))
    keys = torch.cat([rois[:, :1], cells], dim=1)
    windows, of_window = torch.unique(keys, dim=0, return_inverse=True)
    order = torch.arange(len(rois) - 1, -1, -1)
    first = torch.empty(len(windows), dtype=torch.int64)
    first[of_window.flip(0)] = order  # the last write is the first RoI of each window
    return rois[first], of_window


def _candidates(
    scores: Tensor, boxes: Tensor, settings: DetectSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """The best max_per_class boxes of each class that reach the threshold.

    scores: (R, K + 1). boxes: (R, K, 4). Returns scores (M,), boxes (M, 4), labels (M,).
    """
    best, rows = scores[:, 1:].topk(min(settings.max_per_class, len(scores)), dim=0)
    columns = torch.arange(best.shape[1], device=best.device).expand_as(best)
    passed = best >= (-math.inf if settings.score_threshold is None else settings.score_threshold)
    rows, columns = rows[passed], columns[passed]
    return best[passed], boxes[rows, columns], columns + 1


def _suppress(boxes: Tensor, scores: Tensor, labels: Tensor, iou: float) -> Tensor:
    """Indices kept by suppression within each class, highest score first."""
    # The operator works in continuous coordinates: + 1 on the far corner makes it inclusive.
    continuous = boxes + boxes.new_tensor([0.0, 0.0, 1.0, 1.0])
    return batched_nms(continuous, scores, labels, iou)
