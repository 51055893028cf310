"""`frcnn export`: a model for other runtimes."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.engine.exchange.export import (
    OPSET,
    export_onnx,
    export_torch,
    largest_difference,
    onnx_runner,
    torch_runner,
)
from frcnn_cli.engine.models.store import find_model, load_model
from frcnn_proposals.errors import InputError, MisuseError

_SUFFIXES = {"onnx": ".onnx", "torch-export": ".pt2"}
# Between a model and its export: of scores, and of boxes in pixels.
_TOLERANCE = 1e-3


@click.command()
@click.argument("model", type=options.AnyPath, required=False)
@click.option(
    "--format",
    "kind",
    type=click.Choice(list(_SUFFIXES)),
    default="onnx",
    show_default=True,
    help="onnx: for onnxruntime and others. torch-export: a .pt2 for torch alone.",
)
@click.option(
    "--plain",
    is_flag=True,
    help="onnx: RoI pooling by plain operators, for runtimes that lack MaxRoiPool.",
)
@click.option("--out", type=options.FilePath, help="Default: beside the model.")
@options.runs_root
@options.json_file
@pass_output
def export(
    output: Output,
    model: Path | None,
    kind: str,
    plain: bool,
    out: Path | None,
    runs_root: Path,
    json_path: Path | None,
) -> None:
    """Write MODEL, by default the newest run's, for other runtimes.

    The file gives scores and boxes of each proposal before suppression, for images of any size;
    docs/export.md has a script that runs it. It is run once, and compared with the model.

    \b
    frcnn export
    frcnn export runs/voc2007-vgg16 --format torch-export
    """
    if plain and kind != "onnx":
        raise MisuseError("--plain is for --format onnx; torch-export is always plain.")
    path = find_model(model, runs_root)
    output.note(f"Model: {path}")
    loaded, _ = load_model(path)
    target = out or path.with_suffix(_SUFFIXES[kind])
    if target.suffix != _SUFFIXES[kind]:
        raise MisuseError(f"{target}: a file of format {kind} ends in {_SUFFIXES[kind]}.")
    with output.progress("Exporting", None):
        if kind == "onnx":
            export_onnx(loaded, target, path.name, plain)
        else:
            export_torch(loaded, target, path.name)
    runner = onnx_runner if kind == "onnx" else torch_runner
    scores, boxes = largest_difference(loaded, runner(target))
    output.print(f"Exported: [bold]{escape(str(target))}[/], {target.stat().st_size:,} bytes")
    output.note(f"On a made-up picture scores differ by {scores:.1g}, boxes by {boxes:.1g} pixels.")
    if json_path is not None:
        values = {
            "model": str(path),
            "exported": str(target),
            "format": kind,
            "opset": OPSET if kind == "onnx" else None,
            "bytes": target.stat().st_size,
            "largest_difference": {"scores": scores, "boxes": boxes},
        }
        write_json(json_path, values)
    if not max(scores, boxes) <= _TOLERANCE:
        raise InputError(
            f"{target}: differs from the model by more than {_TOLERANCE}: do not use it.\n"
            "Another version of torch or onnxruntime may export or run it rightly."
        )
