"""Pseudo labels: detections as the objects of a dataset, to train a detector on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.datasets.export.dataset import export_as_dataset
from frcnn_cli.engine.datasets.findings import Finding, act_on, finding
from frcnn_cli.engine.records import (
    Dataset,
    Detections,
    GroundTruth,
    ImageLabels,
    ImageRecord,
    labels_of,
)
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.digest import proposal_digest
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.images import image_size
from frcnn_proposals.wording import counted


@dataclass(frozen=True)
class PseudoLabelOptions:
    """The detections that become objects.

    best_per_class: for each class in the labels of an image, only the detection with the highest
    score. score_threshold: minimum score; None takes any, which requires best_per_class.
    """

    best_per_class: bool = False
    score_threshold: float | None = None

    def __post_init__(self) -> None:
        if not self.best_per_class and self.score_threshold is None:
            raise MisuseError(
                "Select the detections that become objects: give --best-per-class, for the best "
                "one of each class\nin the labels of an image, --score-threshold, or both."
            )

    def __str__(self) -> str:
        threshold = self.score_threshold
        above = "" if threshold is None else f"with a score of at least {threshold:g}"
        if not self.best_per_class:
            return f"all detections {above}"
        return " ".join(["the best detection of each class of the image", *([above] * bool(above))])


def export_pseudo_labels(
    dataset: Dataset,
    out: Path,
    format: str,
    detections: Mapping[str, Detections],
    file: Path,
    options: PseudoLabelOptions,
    reporter: Reporter = SILENT,
) -> Dataset:
    """Write a dataset of pseudo labels and its images to the new folder `out`, and return it.

    format: coco or voc. file: that of the detections, which the description of the dataset names.
    Raises as pseudo_labels and export_as_dataset.
    """
    labelled, findings = pseudo_labels(dataset, detections, options)
    digest = proposal_digest(file)[:16]
    description = f"pseudo labels: {options}, from {file.name} (SHA-256 {digest})"
    export_as_dataset(labelled, out, format, description)
    act_on(findings, True, reporter)
    return labelled


def pseudo_labels(
    dataset: Dataset, detections: Mapping[str, Detections], options: PseudoLabelOptions
) -> tuple[Dataset, list[Finding]]:
    """The dataset with detections, by image id, in place of its objects or labels.

    Detections of a class that is not in the labels of an image are not used; in an image without
    labels, any class is used. Boxes are clipped to their image. An image without a box is skipped,
    since its objects would be trained as background, unless its labels say that it has none.
    Raises MisuseError if no image has a box, or if best_per_class finds no labels.
    """
    images, omitted, lacking = [], [], []
    for record in dataset.images:
        labels = labels_of(record)
        if labels is None and options.best_per_class:
            raise MisuseError(
                f"{dataset.name}, split {dataset.split}: image {record.image_id} has no labels, "
                "which --best-per-class needs.\nUse --score-threshold alone."
            )
        labelled = _labelled(record, labels, detections.get(record.image_id, Detections()), options)
        found = set() if labelled.truth is None else set(labelled.truth.labels.tolist())
        if found or labels == ImageLabels():
            images.append(labelled)
        else:
            omitted.append(record.image_id)
        present = labels.present if labels is not None and found else ()
        lacking += [
            f"{record.image_id} ({dataset.classes[label - 1]})"
            for label in present
            if label not in found
        ]
    if not any(image.truth for image in images):
        raise MisuseError(
            f"{dataset.name}, split {dataset.split}: no image has a detection to use ({options}), "
            "so there is nothing to train on."
        )
    return replace(dataset, images=tuple(images)), _findings(omitted, lacking)


def _labelled(
    record: ImageRecord,
    labels: ImageLabels | None,
    detections: Detections,
    options: PseudoLabelOptions,
) -> ImageRecord:
    """The record with its pseudo labels as ground truth, and with the size of its image."""
    if record.width is None or record.height is None:
        width, height = image_size(record.path)
        record = replace(record, width=width, height=height)
    detections, boxes = _inside(detections, record.width or 0, record.height or 0)
    chosen = np.ones(len(detections), bool)
    if labels is not None:
        chosen &= np.isin(detections.labels, labels.present)
    if options.score_threshold is not None:
        chosen &= detections.scores >= options.score_threshold
    rows = np.flatnonzero(chosen)
    if options.best_per_class:  # detections are sorted by score
        rows = np.sort(rows[np.unique(detections.labels[rows], return_index=True)[1]])
    truth = GroundTruth(boxes[rows], detections.labels[rows], np.zeros(len(rows), bool))
    return replace(record, truth=truth, labels=None)


def _inside(
    detections: Detections, width: int, height: int
) -> tuple[Detections, NDArray[np.float32]]:
    """The detections that are in part inside the image, and their boxes, clipped to it.

    Boxes without a pixel (x2 < x1 or y2 < y1), which files of detections may contain, are omitted.
    """
    limits = np.array([width - 1, height - 1], np.float32)
    corners = detections.boxes.reshape(-1, 2, 2)
    usable = ((corners[:, 0] <= limits) & (corners[:, 1] >= 0)).all(axis=1)
    clipped = np.clip(corners, 0, limits)
    usable &= (clipped[:, 1] >= clipped[:, 0]).all(axis=1)
    return detections.take(np.flatnonzero(usable)), clipped[usable].reshape(-1, 4)


def _findings(omitted: list[str], lacking: list[str]) -> list[Finding]:
    found = []
    if omitted:
        images = counted(len(omitted), "image is", "images are")
        message = f"{images} skipped, without a detection to use"
        found.append(finding("warning", "omitted", message, omitted))
    if lacking:
        classes = counted(len(lacking), "class", "classes")
        message = f"no box for {classes} in the labels of images with other objects"
        found.append(finding("warning", "lacking", message, lacking))
    return found
