"""Changes to a model's own settings: how it detects, and on which images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from frcnn_cli.engine.settings.detection import DetectSettings, PrecisionChoice

# Fields of a model's settings that a value given here replaces.
_REPLACED = ("score_threshold", "top_k", "scales", "box_voting")


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
        replaced = {name: getattr(self, name) for name in _REPLACED}
        given: dict[str, Any] = {n: value for n, value in replaced.items() if value is not None}
        box_regression = stored.box_regression and self.box_regression
        return replace(
            stored, flip=stored.flip or self.flip, box_regression=box_regression, **given
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
