"""What `frcnn detect` was asked, and how that makes its detector."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from frcnn_cli.commands.shared.console import Output
from frcnn_cli.commands.shared.detection_options import detect_settings
from frcnn_cli.commands.shared.model_and_data import LoadedModel, open_model
from frcnn_cli.engine.detection.image import threshold_for
from frcnn_cli.engine.settings import DetectSettings, PrecisionChoice
from frcnn_proposals.base import Source
from frcnn_proposals.sources.precomputed import Precomputed
from frcnn_proposals.sources.registry import make_source


@dataclass(frozen=True)
class Asked:
    """What the command line said."""

    images: tuple[str, ...]
    model: Path | None
    proposals: Path | None
    source: str | None
    score_threshold: float | None
    top_k: int | None
    precision: PrecisionChoice
    tta: str | None
    scales: str | None
    no_box_regression: bool
    box_voting: float | None
    viz: bool
    out: Path
    runs_root: Path
    device: str
    max_pixels: int
    json_path: Path | None


@dataclass(frozen=True)
class Detector:
    """A model, how it detects, and where its proposals come from."""

    loaded: LoadedModel
    settings: DetectSettings
    source: Source

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels from 1 on."""
        return self.loaded.model.architecture.classes


def open_detector(output: Output, asked: Asked, device: torch.device) -> Detector:
    """The detector that is asked for; says which model it is."""
    loaded = open_model(output, asked.model, asked.runs_root, device, asked.precision)
    settings = detect_settings(loaded, asked, _threshold(loaded, asked.score_threshold))
    name = asked.source or loaded.experiment.proposals.source
    source: Source = make_source(name) if asked.proposals is None else Precomputed(asked.proposals)
    return Detector(loaded, settings, source)


def _threshold(loaded: LoadedModel, asked: float | None) -> float:
    """As asked, or as the model is set: margins of SVMs have a threshold of their own."""
    if asked is None and loaded.model.architecture.classifier == "softmax":
        asked = loaded.experiment.detect.score_threshold
    return threshold_for(loaded.model, asked)
