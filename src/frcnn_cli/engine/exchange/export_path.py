"""The file that a model is exported to, and the options of it, checked without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from frcnn_cli.engine.models.shipped.table import beside
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_proposals.errors import MisuseError

Format = Literal["onnx", "torch-export"]
# Options that change only what follows the scores and boxes of the proposals.
_OF_NMS = ("score_threshold", "nms_iou", "top_k", "box_voting")
SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "torch-export": ".pt2"}


def export_path(model: Path, out: Path | None, kind: Format, plain: bool) -> Path:
    """The file to export `model` to: `out`, or by default one `beside` the model.

    Raises MisuseError for an unknown format, for `plain` with a format other than ONNX, and for
    a file name of another format.
    """
    if kind not in SUFFIXES:
        raise MisuseError(f"Unknown format '{kind}'; expected {', '.join(SUFFIXES)}.")
    if plain and kind != "onnx":
        raise MisuseError(
            "--plain applies to --format onnx only; torch-export always uses basic operators."
        )
    path = out or beside(model, model.stem + SUFFIXES[kind])
    if path.suffix != SUFFIXES[kind]:
        raise MisuseError(
            f"{path}: the name of a file in format {kind} must end in {SUFFIXES[kind]}."
        )
    return path


def check_options(with_nms: bool, options: DetectionOptions) -> None:
    """Raise MisuseError for an option that has no effect without `with_nms`."""
    for name in _OF_NMS:
        if not with_nms and getattr(options, name) is not None:
            raise MisuseError(
                f"--{name.replace('_', '-')} has no effect without --with-nms: the exported model "
                "returns all scores and boxes."
            )
