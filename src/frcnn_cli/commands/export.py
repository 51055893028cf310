"""`frcnn export`: a model for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.engine.models.store import find_model, load_model
from frcnn_proposals.errors import InputError, MisuseError

_SUFFIXES = {"onnx": ".onnx", "torch-export": ".pt2"}


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
    kind: Literal["onnx", "torch-export"],
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
    target = out or path.with_suffix(_SUFFIXES[kind])
    if target.suffix != _SUFFIXES[kind]:
        raise MisuseError(f"{target}: a file of format {kind} ends in {_SUFFIXES[kind]}.")
    from frcnn_cli.engine.exchange.export import TOLERANCE, export_model

    exported = export_model(load_model(path)[0], target, path.name, kind, plain, output)
    output.print(f"Exported: [bold]{escape(str(target))}[/], {target.stat().st_size:,} bytes")
    output.note(
        f"On a generated image scores differ by {exported.scores:.1g}, "
        f"boxes by {exported.boxes:.1g} pixels."
    )
    if json_path is not None:
        values = {
            "model": str(path),
            "exported": str(target),
            "format": kind,
            "opset": exported.opset,
            "bytes": target.stat().st_size,
            "largest_difference": {"scores": exported.scores, "boxes": exported.boxes},
        }
        write_json(json_path, values)
    if not exported.agrees:
        raise InputError(
            f"{target}: the file differs from the model by more than {TOLERANCE}: do not use it.\n"
            "Another version of torch or onnxruntime may export or run it rightly."
        )
