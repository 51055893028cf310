"""A network with the source of its boxes, and the choice of features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frcnn_cli.engine.detection.features.regions import fields_of, region_blocks
from frcnn_cli.engine.detection.features.rows import Block
from frcnn_cli.engine.detection.run import Detector, make_detector
from frcnn_cli.engine.models.loaded import LoadedModel
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings.features import FeatureOptions, FeatureSettings, ineffective
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import MisuseError


@dataclass(frozen=True)
class Extractor:
    """A detector or a backbone with the source of its boxes, and the features to extract."""

    detector: Detector
    settings: FeatureSettings

    @property
    def loaded(self) -> LoadedModel:
        return self.detector.loaded

    def blocks(
        self, model: FastRCNN, image: Image, proposals: Proposals
    ) -> tuple[int, Iterator[Block]]:
        """The number of boxes of an image, and their fields. model: prepared for detection."""
        return region_blocks(
            model,
            image,
            proposals,
            self.detector.settings,
            self.settings,
            self.loaded.is_detector,
        )

    def features(self, model: FastRCNN, image: Image, proposals: Proposals) -> Block:
        """The fields of all boxes of an image."""
        _, blocks = self.blocks(model, image, proposals)
        parts = list(blocks)
        fields = fields_of(model, self.settings, self.loaded.is_detector)
        return {
            name: np.concatenate(
                [np.zeros((0, *field.shape), field.dtype), *(part[name] for part in parts)]
            )
            for name, field in fields.items()
        }


def make_extractor(
    loaded: LoadedModel,
    options: FeatureOptions | None = None,
    detection: DetectionOptions | None = None,
    proposals: Path | None = None,
    source: str | None = None,
    parameters: tuple[str, ...] = (),
) -> Extractor:
    """Create an extractor with boxes as in make_detector, selected by `options`."""
    options, detection = options or FeatureOptions(), detection or DetectionOptions()
    detector = make_detector(loaded, detection, proposals, source, None, parameters)
    settings = options.resolved(
        loaded.is_detector,
        loaded.model.architecture.classifier,
        proposals is not None or source is not None,
    )
    if settings.boxes == "proposals":
        for name in ("nms_iou", "max_proposals"):
            if getattr(detection, name) is not None:
                raise MisuseError(ineffective(name))
    return Extractor(detector, settings)
