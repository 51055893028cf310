"""Labels of images: the classes of their objects, or those of a dataset without boxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.datasets.findings import Finding, finding
from frcnn_cli.engine.records import Dataset, ImageLabels, ImageRecord, labels_of
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.wording import counted


def without_boxes(dataset: Dataset) -> Dataset:
    """The dataset with the labels of its images instead of their objects.

    Raises MisuseError if an image has neither.
    """
    return replace(dataset, images=tuple(_without_boxes(dataset, r) for r in dataset.images))


def _without_boxes(dataset: Dataset, record: ImageRecord) -> ImageRecord:
    labels = labels_of(record)
    if labels is None:
        raise MisuseError(
            f"{dataset.name}, split {dataset.split}: image {record.image_id} has neither labels "
            "nor an annotation.\nTrain on a split with labels."
        )
    return replace(record, truth=None, labels=labels)


def image_labels(record: ImageRecord, classes: int) -> NDArray[np.int64]:
    """(1, K): 1 for classes that are present, 0 for absent ones, -1 for uncertain ones."""
    labels = labels_of(record) or ImageLabels()
    values = np.zeros((1, classes), np.int64)
    values[0, np.array(labels.present, np.int64) - 1] = 1
    values[0, np.array(labels.uncertain, np.int64) - 1] = -1
    return values


def without_proposals(dataset: Dataset, proposals: Mapping[str, Proposals]) -> list[Finding]:
    """At most one finding: images without proposals, from which nothing is learned."""
    names = [r.image_id for r in dataset.images if len(proposals[r.image_id]) == 0]
    if not names:
        return []
    images = counted(len(names), "image has", "images have")
    message = f"{images} no proposals, and therefore no loss"
    return [finding("warning", "no-proposals", message, names)]


def label_findings(dataset: Dataset) -> list[Finding]:
    """Findings about the labels of a dataset: classes without images, images without labels.

    Raises MisuseError if no image has a label.
    """
    labels = [labels_of(record) or ImageLabels() for record in dataset.images]
    present = {label for each in labels for label in each.present}
    if not present:
        raise MisuseError(f"{dataset.name}, split {dataset.split}: no image has a label.")
    found = []
    unused = [name for label, name in enumerate(dataset.classes, 1) if label not in present]
    if unused:
        classes = counted(len(dataset.classes), "class", "classes")
        message = f"no image for {len(unused)} of {classes}"
        found.append(finding("warning", "unused-classes", message, unused))
    empty = [
        record.image_id
        for record, each in zip(dataset.images, labels, strict=True)
        if not each.present
    ]
    if empty:
        images = counted(len(empty), "image without label is", "images without label are")
        message = f"{images} used as negative of all classes"
        found.append(finding("warning", "no-labels", message, empty))
    return found
