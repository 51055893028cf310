"""mAP of several models that share feature layers, which run only once per image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from frcnn_cli.engine.datasets.findings import act_on
from frcnn_cli.engine.detection.image import detect_image
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.evaluation.voc import evaluate_voc
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.proposals.for_dataset import DatasetProposals, warn_of_some
from frcnn_cli.engine.proposals.image_match import file_findings
from frcnn_cli.engine.records import Detections, ReadFile
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import DetectSettings, Precision
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import decode_image, digest_of, read_image_bytes


def measure_map(
    models: Sequence[FastRCNN],
    images: DatasetProposals,
    settings: DetectSettings | None = None,
    precision: Precision = "float32",
    description: str = "Detecting",
    reporter: Reporter = SILENT,
) -> tuple[float, ...]:
    """The VOC 11-point mAP (0..1) of each model, in one pass over the images.

    settings: how to detect; the score threshold is ignored, since mAP needs every detection.
    Models with equal feature layers share their feature maps. Images that cannot be read are
    skipped with a warning. Raises InputError if no image can be read.
    """
    dataset = images.dataset
    settings = replace(settings or DetectSettings(), score_threshold=None)
    detections: list[dict[str, Detections]] = [{} for _ in models]
    unreadable, files = [], {}
    prepared = _sharing_feature_maps(models, precision)
    with reporter.progress(description, len(dataset)) as advance:
        for record in dataset.images:
            try:
                data = read_image_bytes(record.path)
                image = decode_image(data, record.path)
            except InputError as error:
                unreadable.append(str(error))
            else:
                size = (image.shape[1], image.shape[0])
                files[record.image_id] = ReadFile(digest_of(data), size)
                boxes = images.proposals[record.image_id]
                for model, found in zip(prepared, detections, strict=True):
                    found[record.image_id] = detect_image(model, image, boxes, settings)
            advance(1, "")
    warn_of_some(reporter, unreadable)
    act_on(file_findings(dataset, images.proposals, files), True, reporter)
    readable = tuple(record for record in dataset.images if record.image_id in detections[0])
    if not readable:
        raise InputError(f"{dataset.name}: no image of the dataset can be read.")
    scores = [evaluate_voc(replace(dataset, images=readable), found) for found in detections]
    return tuple(score.map_11point or 0.0 for score in scores)


class _LastMap(nn.Module):
    """Feature layers that reuse their last feature map if the images are the same."""

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
    """Prepare the models for detection; models with equal feature layers share one instance."""
    prepared = [prepare_model(model, precision) for model in models]
    for index, (model, ready) in enumerate(zip(models, prepared, strict=True)):
        equal = (i for i in range(index) if _equal(models[i].features, model.features))
        first = next(equal, None)
        ready.features = _LastMap(ready.features) if first is None else prepared[first].features
    return prepared


def _equal(layers: nn.Module, others: nn.Module) -> bool:
    """Whether the feature layers of two models of the same architecture have equal weights."""
    ours, theirs = layers.state_dict(), others.state_dict()
    return ours.keys() == theirs.keys() and all(
        torch.equal(value, theirs[name]) for name, value in ours.items()
    )
