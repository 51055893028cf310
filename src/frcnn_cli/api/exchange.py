"""Models for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from frcnn_cli.api.arguments import public
from frcnn_cli.api.progress import OnProgress, reporter_for
from frcnn_cli.engine.exchange.export_path import Format, export_path
from frcnn_cli.engine.models.store import find_model

if TYPE_CHECKING:
    from frcnn_cli.engine.exchange.export import Export


@public
def export(
    model: str | Path | None = None,
    out: str | Path | None = None,
    *,
    format: Format = "onnx",
    plain: bool = False,
    runs_root: str | Path = "runs",
    progress: OnProgress | None = None,
) -> Export:
    """Write a model for other runtimes, as `frcnn export`, and compare the file with the model.

    format: onnx, for onnxruntime and others, or torch-export, a .pt2 for PyTorch. plain: build RoI
    pooling from basic operators, for runtimes without MaxRoiPool. out: by default next to the
    model, or in the current folder for a shipped model. Raises Error if a package is missing or the
    file's outputs differ.
    """
    path = find_model(None if model is None else Path(model), Path(runs_root))
    target = export_path(path, None if out is None else Path(out), format, plain)
    from frcnn_cli.engine.exchange.export import export_model
    from frcnn_cli.engine.proposals.paths import check_outputs

    check_outputs([target], [str(path)], runs_root=Path(runs_root))
    reporter = reporter_for(progress)
    exported = export_model(path, target, format, plain, reporter)
    exported.check()
    return exported
