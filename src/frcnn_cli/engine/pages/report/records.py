"""The data of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from frcnn_cli.engine.evaluation.at_threshold import AtThreshold
from frcnn_cli.engine.evaluation.errors import Diagnosis
from frcnn_cli.engine.evaluation.recall import RecallReport
from frcnn_cli.engine.evaluation.scores import Evaluation
from frcnn_cli.engine.evaluation.tables import DetectionTable, TruthTable
from frcnn_cli.engine.evaluation.voc import Curve
from frcnn_cli.engine.records import Dataset, short_name
from frcnn_cli.engine.training.metrics import TrainingLog


@dataclass(frozen=True)
class Subject:
    """One detector, or one file of detections, and its results.

    setting: its main settings, as text for people. all_settings: every field of the experiment.
    stages: seconds per image by stage, empty without a model. file_bytes: of the model's file.
    """

    name: str
    setting: Mapping[str, str]
    evaluation: Evaluation
    found: DetectionTable
    diagnosis: Diagnosis
    curves: tuple[Curve, ...]
    at_threshold: AtThreshold
    log: TrainingLog = field(default_factory=TrainingLog)
    stages: Mapping[str, float] = field(default_factory=dict)
    parameters: int | None = None
    file_bytes: int | None = None
    all_settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def threshold(self) -> float:
        """The minimum score of a detection that counts in a picture or a comparison of images."""
        return self.at_threshold.threshold


@dataclass(frozen=True)
class Report:
    """One subject, or two side by side, on one dataset.

    made: the version that wrote the report, and the date. machine: the machine's properties.
    recall: None without proposals. shows_corloc: whether CorLoc is one of its figures.
    """

    dataset: Dataset
    truth: TruthTable
    subjects: tuple[Subject, ...]
    recall: RecallReport | None
    machine: Mapping[str, str]
    made: str
    shows_corloc: bool = False

    @property
    def dataset_title(self) -> str:
        """The dataset's name, or the last part of its path."""
        return short_name(self.dataset.name)

    @property
    def compares(self) -> bool:
        """Whether there are two subjects."""
        return len(self.subjects) == 2
