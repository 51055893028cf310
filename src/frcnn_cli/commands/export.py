"""`frcnn export`: write a model for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.detection_options import box_options, take
from frcnn_cli.engine.exchange.export_path import SUFFIXES, Format, check_options, export_path
from frcnn_cli.engine.models.shipped.table import display_name
from frcnn_cli.engine.models.store import find_model, note_model
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_proposals.files import check_writable


@click.command()
@click.argument("model", type=options.AnyPath, required=False)
@click.option(
    "--format",
    "kind",
    type=click.Choice(list(SUFFIXES)),
    default="onnx",
    show_default=True,
    help="onnx: for onnxruntime and other ONNX runtimes. torch-export: a .pt2 for PyTorch.",
)
@click.option(
    "--plain",
    is_flag=True,
    help="onnx: build RoI pooling from basic operators, for runtimes without MaxRoiPool.",
)
@click.option(
    "--with-nms",
    is_flag=True,
    help="Also return the detections of `frcnn detect`: non-maximum suppression, limits, and box "
    "voting with the settings of the model or of the options below.",
)
@click.option(
    "--score-threshold",
    type=float,
    show_default="the model's setting, usually 0.5; a margin of 0 for SVMs",
    help="Discard detections with a lower score.",
)
@box_options
@click.option(
    "--out",
    type=options.OutputFile,
    show_default="next to the model; in the current folder for a shipped model",
    help="File to write.",
)
@options.runs_root
@options.json_file
@pass_output
def export(
    output: Output,
    /,
    model: Path | None,
    kind: Format,
    plain: bool,
    with_nms: bool,
    out: Path | None,
    runs_root: Path,
    json_path: Path | None,
    **given: Any,
) -> None:
    """Export MODEL (default: the newest run's model, or else voc) for other runtimes.

    The exported model takes images of any size and returns scores and boxes per proposal, and with
    --with-nms the detections; docs/export.md has a script that runs it. After the export, the file
    is run once and compared with the original model.

    \b
    frcnn export --with-nms
    frcnn export runs/voc2007-vgg16 --format torch-export
    """
    detection = take(DetectionOptions, given)
    check_options(with_nms, detection)
    path = find_model(model, runs_root)
    note_model(output, path, model, runs_root)
    target = export_path(path, out, kind, plain)
    check_writable(target)
    from frcnn_cli.engine.exchange.export import export_model

    exported = export_model(path, target, kind, plain, with_nms, detection, output)
    output.print_file(f"Exported: [bold]{escape(str(target))}[/], {target.stat().st_size:,} bytes")
    output.note(
        f"Largest difference on a generated image: scores {exported.scores:.1g}, "
        f"boxes {exported.boxes:.1g} pixels."
    )
    if json_path is not None:
        values = {
            "model": display_name(path),
            "exported": str(target),
            "format": kind,
            "with_nms": with_nms,
            "opset": exported.opset,
            "bytes": target.stat().st_size,
            "largest_difference": {"scores": exported.scores, "boxes": exported.boxes},
        }
        write_json(json_path, values)
    exported.check()
