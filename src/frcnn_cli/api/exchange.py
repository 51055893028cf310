"""Models for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from frcnn_cli.api.arguments import public
from frcnn_cli.api.progress import OnProgress, reporter_for
from frcnn_cli.engine.exchange.export_path import Format, check_options, export_path
from frcnn_cli.engine.models.store import find_model
from frcnn_cli.engine.settings.options import DetectionOptions

if TYPE_CHECKING:
    from frcnn_cli.engine.exchange.comparison import Export


@public
def export(
    model: str | Path | None = None,
    out: str | Path | None = None,
    *,
    format: Format = "onnx",
    plain: bool = False,
    with_nms: bool = False,
    score_threshold: float | None = None,
    top_k: int | None = None,
    nms_iou: float | None = None,
    box_regression: bool = True,
    box_voting: float | None = None,
    max_proposals: int | None = None,
    runs_root: str | Path = "runs",
    progress: OnProgress | None = None,
) -> Export:
    """Write a model for other runtimes, as `frcnn export`, and compare the file with the model.

    format: onnx, for onnxruntime and others, or torch-export, a .pt2 for PyTorch. plain: build RoI
    pooling from basic operators, for runtimes without MaxRoiPool. with_nms: also return the
    detections of `frcnn detect`. The settings of detection are those of `Detector.load`; None keeps
    the model's value. out: by default next to the model, or in the current folder for a shipped
    model. Raises Error if a package is missing, a setting does not apply, or the file's outputs
    differ.
    """
    options = DetectionOptions(
        score_threshold=score_threshold,
        top_k=top_k,
        nms_iou=nms_iou,
        box_regression=box_regression,
        box_voting=box_voting,
        max_proposals=max_proposals,
    )
    check_options(with_nms, options)
    path = find_model(None if model is None else Path(model), Path(runs_root))
    target = export_path(path, None if out is None else Path(out), format, plain)
    from frcnn_cli.engine.exchange.export import export_model
    from frcnn_cli.engine.proposals.paths import check_outputs

    check_outputs([target], [str(path)], runs_root=Path(runs_root))
    reporter = reporter_for(progress)
    exported = export_model(path, target, format, plain, with_nms, options, reporter)
    exported.check()
    return exported
