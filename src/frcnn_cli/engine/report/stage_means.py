"""Time by stage over a few images of a data set (paper, figure 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from frcnn_cli.engine.model import FastRCNN
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import DetectSettings
from frcnn_cli.engine.timing.stage_times import STAGES, time_stages
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import read_image

IMAGES, ROUNDS = 3, 3
STAGE_NAMES = {
    "conv": "convolution",
    "roi_pooling": "RoI pooling",
    "fc6": "fc6",
    "fc7": "fc7",
    "rest": "the rest",
}


def mean_stages(
    models: Sequence[FastRCNN],
    dataset: Dataset,
    proposals: Mapping[str, Proposals],
    settings: DetectSettings,
) -> list[dict[str, float]]:
    """For each model, seconds an image by stage, over the first IMAGES that can be read.

    Stages have names for people. Empty where no image can be read, or none has proposals.
    """
    images = _first_images(dataset, proposals)
    means = [dict.fromkeys(STAGE_NAMES.values(), 0.0) if images else {} for _ in models]
    for image, boxes in images:
        of_each = time_stages(models, image, boxes, ROUNDS, settings=settings)
        for mean, times in zip(means, of_each, strict=True):
            for stage in STAGES:
                mean[STAGE_NAMES[stage]] += times.stages[stage] / len(images)
    return means


def _first_images(
    dataset: Dataset, proposals: Mapping[str, Proposals]
) -> list[tuple[Image, Proposals]]:
    images: list[tuple[Image, Proposals]] = []
    for record in dataset.images:
        boxes = proposals[record.image_id]
        try:
            if len(boxes):
                images.append((read_image(record.path), boxes))
        except InputError:
            continue
        if len(images) == IMAGES:
            break
    return images
