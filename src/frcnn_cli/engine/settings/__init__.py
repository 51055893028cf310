"""Settings as frozen dataclasses, which raise MisuseError for a value out of range.

Defaults are the paper's where the paper gives one; `docs/training.md` says which differ.
"""

from frcnn_cli.engine.settings.detection import DetectSettings, Precision, PrecisionChoice
from frcnn_cli.engine.settings.experiment import DataSettings, Experiment, ProposalSettings
from frcnn_cli.engine.settings.network import Architecture, Classifier, Preprocessing
from frcnn_cli.engine.settings.training import Sampling, Schedule, SvmSettings, TrainSettings

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
    "TrainSettings",
]
