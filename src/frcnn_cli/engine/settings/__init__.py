"""Settings as frozen dataclasses, which raise MisuseError for an invalid value.

Defaults are those of the paper where it states them; `docs/training.md` lists the differences.
"""

from frcnn_cli.engine.settings.detection import (
    DetectSettings,
    Precision,
    PrecisionChoice,
    TileSettings,
)
from frcnn_cli.engine.settings.experiment import DataSettings, Experiment, ProposalSettings
from frcnn_cli.engine.settings.network import Architecture, Classifier, Preprocessing
from frcnn_cli.engine.settings.svm import SvmSettings
from frcnn_cli.engine.settings.training import Sampling, Schedule, TrainSettings
from frcnn_cli.engine.settings.weak import WeakSettings

__all__ = [
    "Architecture",
    "Classifier",
    "DataSettings",
    "DetectSettings",
    "Experiment",
    "Precision",
    "PrecisionChoice",
    "Preprocessing",
    "ProposalSettings",
    "Sampling",
    "Schedule",
    "SvmSettings",
    "TileSettings",
    "TrainSettings",
    "WeakSettings",
]
