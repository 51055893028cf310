"""`frcnn export`: write a model for other runtimes."""

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
    help="onnx: for onnxruntime and other ONNX runtimes. torch-export: a .pt2 for PyTorch.",
)
@click.option(
    "--plain",
    is_flag=True,
    help="onnx: build RoI pooling from basic operators, for runtimes without MaxRoiPool.",
)
@click.option(
    "--out", type=options.OutputFile, show_default="next to the model", help="File to write."
)
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
    """Export MODEL (default: the newest run's model) for other runtimes.

    The exported model takes images of any size and returns scores and boxes per proposal, before
    non-maximum suppression; docs/export.md has a script that runs it. After the export, the file is
    run once and compared with the original model.

    \b
    frcnn export
    frcnn export runs/voc2007-vgg16 --format torch-export
    """
    if plain and kind != "onnx":
        raise MisuseError(
            "--plain applies to --format onnx only; torch-export always uses basic operators."
        )
    path = find_model(model, runs_root)
    output.note(f"Model: {path}")
    target = out or path.with_suffix(_SUFFIXES[kind])
    if target.suffix != _SUFFIXES[kind]:
        raise MisuseError(
            f"{target}: the name of a file in format {kind} must end in {_SUFFIXES[kind]}."
        )
    from frcnn_cli.engine.exchange.export import TOLERANCE, export_model

    exported = export_model(load_model(path)[0], target, path.name, kind, plain, output)
    output.print(f"Exported: [bold]{escape(str(target))}[/], {target.stat().st_size:,} bytes")
    output.note(
        f"Largest difference on a generated image: scores {exported.scores:.1g}, "
        f"boxes {exported.boxes:.1g} pixels."
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
            f"{target}: outputs differ from the model's by more than {TOLERANCE}.\n"
            "Do not use the file. Try another version of torch or onnxruntime."
        )
