"""What a caller can change of a model's own settings: how it detects, and on which images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from frcnn_cli.engine.settings.detection import DetectSettings, PrecisionChoice

Value = TypeVar("Value")


@dataclass(frozen=True)
class DetectionOptions:
    """Changes to a model's own detection settings; None keeps the model's value.

    precision: `auto` chooses by model and device. flip: also read the mirrored image.
    scales: lengths of the shorter side; empty reads at the model's one scale. box_regression:
    False leaves detections on their proposals. box_voting: IoU, 0 for no voting. top_k:
    detections per image. score_threshold: lowest score that counts.
    """

    precision: PrecisionChoice = "auto"
    flip: bool = False
    scales: tuple[int, ...] | None = None
    box_regression: bool = True
    box_voting: float | None = None
    top_k: int | None = None
    score_threshold: float | None = None

    def applied_to(self, stored: DetectSettings) -> DetectSettings:
        """The settings stored with a model, with these changes."""
        return replace(
            stored,
            score_threshold=_given(self.score_threshold, stored.score_threshold),
            top_k=_given(self.top_k, stored.top_k),
            flip=stored.flip or self.flip,
            scales=_given(self.scales, stored.scales),
            box_regression=stored.box_regression and self.box_regression,
            box_voting=_given(self.box_voting, stored.box_voting),
        )

    def for_evaluation(self, stored: DetectSettings) -> DetectSettings:
        """The same without a score threshold: an evaluation needs every detection."""
        return replace(self.applied_to(stored), score_threshold=None)


@dataclass(frozen=True)
class DataOptions:
    """Which images to evaluate on, and their proposals; None takes the model's own.

    dataset: name or path. split: None takes test where it is annotated, else val. data_root:
    folder in which datasets are looked for. proposals: a file of them; None has `source`
    compute them into the cache. allow_mismatch: skip images without proposals.
    """

    dataset: str | None = None
    split: str | None = None
    data_root: Path | None = None
    proposals: Path | None = None
    source: str | None = None
    allow_mismatch: bool = False


def _given(value: Value | None, stored: Value) -> Value:
    return stored if value is None else value
