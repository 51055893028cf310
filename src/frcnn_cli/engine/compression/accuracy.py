"""The mAP of several models that differ in their heads: feature layers run once an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from frcnn_cli.engine.detection.image import detect_image
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.evaluation.voc import evaluate_voc
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Dataset, Detections
from frcnn_cli.engine.settings import DetectSettings, Precision
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import read_image


@dataclass(frozen=True)
class Judged:
    """map_11point: of each model, 0..1. unreadable: a message for each image left out."""

    map_11point: tuple[float, ...]
    unreadable: tuple[str, ...]


def judge(
    models: Sequence[FastRCNN],
    dataset: Dataset,
    proposals: Mapping[str, Proposals],
    settings: DetectSettings | None = None,
    precision: Precision = "float32",
    on_image: Callable[[], None] = lambda: None,
) -> Judged:
    """The VOC 11-point mAP of each model on a data set, all in one pass over its images.

    settings: how they detect, but for the threshold: detections of any score are judged.
    Models whose feature layers hold the same numbers share their feature maps.
    Raises InputError where none of the images can be read.
    """
    settings = replace(settings or DetectSettings(), score_threshold=None)
    found: list[dict[str, Detections]] = [{} for _ in models]
    unreadable = []
    prepared = _sharing_feature_maps(models, precision)
    for record in dataset.images:
        try:
            image = read_image(record.path)
        except InputError as error:
            unreadable.append(str(error))
        else:
            boxes = proposals[record.image_id]
            for model, detections in zip(prepared, found, strict=True):
                detections[record.image_id] = detect_image(model, image, boxes, settings)
        on_image()
    scored = tuple(record for record in dataset.images if record.image_id in found[0])
    if not scored:
        raise InputError(f"{dataset.name}: none of its images can be read.")
    results = [evaluate_voc(replace(dataset, images=scored), each) for each in found]
    return Judged(tuple(result.map_11point or 0.0 for result in results), tuple(unreadable))


class _LastMap(nn.Module):
    """Feature layers that run only where the images are not those of the call before."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers
        self.images: Tensor | None = None
        self.feature_map: Tensor | None = None

    def forward(self, images: Tensor) -> Tensor:
        same = self.images is not None and torch.equal(self.images, images)
        if self.feature_map is None or not same:
            self.images, self.feature_map = images, self.layers(images)
        return self.feature_map


def _sharing_feature_maps(models: Sequence[FastRCNN], precision: Precision) -> list[FastRCNN]:
    """The models, ready for detection; those of the same feature layers have one in common."""
    prepared = [prepare_model(model, precision) for model in models]
    for index, model in enumerate(models):
        same = (i for i in range(index) if _equal(models[i].features, model.features))
        first = next(same, None)
        ready = prepared[index]
        ready.features = _LastMap(ready.features) if first is None else prepared[first].features
    return prepared


def _equal(layers: nn.Module, others: nn.Module) -> bool:
    """Whether two models' feature layers compute the same (they are of one architecture)."""
    ours, theirs = layers.state_dict(), others.state_dict()
    return ours.keys() == theirs.keys() and all(
        torch.equal(value, theirs[name]) for name, value in ours.items()
    )
