"""Changes to the detection settings of a model, and the choice of data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from frcnn_cli.engine.settings.detection import DetectSettings, PrecisionChoice, TileSettings
from frcnn_cli.engine.settings.experiment import ProposalSettings
from frcnn_cli.engine.settings.network import Architecture
from frcnn_proposals.errors import MisuseError

# Fields of the model's settings that a value other than None replaces.
_REPLACED = ("score_threshold", "nms_iou", "top_k", "scales", "box_voting", "max_proposals")


@dataclass(frozen=True)
class DetectionOptions:
    """Changes to a model's detection settings; None keeps the model's value.

    precision: `auto` chooses by model and device. flip: also process the mirrored image. scales:
    lengths of the shorter side; empty uses the model's single scale. box_regression: False keeps
    the boxes of the proposals. box_voting: IoU, 0 for no voting. nms_iou: IoU above which a box
    is suppressed. top_k: maximum number of detections per image. score_threshold: minimum score.
    max_proposals: number of best proposals that the heads of a model with a ranker process, or the
    second head of another model. tile, overlap: those of `tiles`, which detection in files, videos
    and images of Python uses; nothing else does.
    """

    precision: PrecisionChoice = "auto"
    flip: bool = False
    scales: tuple[int, ...] | None = None
    box_regression: bool = True
    box_voting: float | None = None
    nms_iou: float | None = None
    top_k: int | None = None
    score_threshold: float | None = None
    max_proposals: int | None = None
    tile: int | None = None
    overlap: float | None = None

    def __post_init__(self) -> None:
        _ = self.tiles  # checks them

    @property
    def tiles(self) -> TileSettings | None:
        """The tiles to detect in besides the whole image. Raises MisuseError if out of range."""
        return TileSettings.of(self.tile, self.overlap)

    def applied_to(self, stored: DetectSettings, architecture: Architecture) -> DetectSettings:
        """Apply these changes to the settings stored with a model of this architecture.

        Raises MisuseError for max_proposals if the model selects no RoIs.
        """
        if self.max_proposals is not None and not architecture.selects_rois:
            raise MisuseError(
                "max_proposals has no effect: this model has neither a ranker nor a second head.\n"
                "Use a model trained with --variant ranked."
            )
        replaced = {name: getattr(self, name) for name in _REPLACED}
        given: dict[str, Any] = {n: value for n, value in replaced.items() if value is not None}
        box_regression = stored.box_regression and self.box_regression
        return replace(
            stored, flip=stored.flip or self.flip, box_regression=box_regression, **given
        )

    def for_evaluation(self, stored: DetectSettings, architecture: Architecture) -> DetectSettings:
        """Apply these changes without a score threshold: evaluation requires all detections."""
        return replace(self.applied_to(stored, architecture), score_threshold=None)


@dataclass(frozen=True)
class DataOptions:
    """The images to evaluate on, and their proposals; None uses the model's own.

    dataset: name or path. split: None uses test if it is annotated, otherwise val. data_root:
    folder to search for datasets. proposals: a proposal file; None lets `source` compute them
    into the cache. parameters: of the source, as NAME=VALUE; without `source`, changes to those of
    the model's source. allow_mismatch: skip images without proposals.
    """

    dataset: str | None = None
    split: str | None = None
    data_root: Path | None = None
    proposals: Path | None = None
    source: str | None = None
    allow_mismatch: bool = False
    parameters: tuple[str, ...] = ()

    def proposal_settings(self, own: ProposalSettings) -> ProposalSettings:
        """The proposals to use, if `own` are those of the model's training."""
        reject_file_with_source(self.proposals, self.source, self.parameters)
        chosen = own.with_source(self.source, self.parameters)
        file = "" if self.proposals is None else str(self.proposals)
        return replace(chosen, file=file, allow_mismatch=self.allow_mismatch)


def reject_file_with_source(
    file: Path | None, source: str | None, parameters: tuple[str, ...]
) -> None:
    """Raise MisuseError if a proposal file is given with a source or its parameters."""
    if file is not None and (source is not None or parameters):
        raise MisuseError(
            "Proposals are read from a file (--proposals) or computed by a source (--source, "
            "--param): give only one."
        )
