"""`frcnn proposals convert`: convert a proposal file to another format."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from frcnn_cli.commands.proposals import options as proposals_options
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_cli.engine.proposals.convert import Conversion, convert_proposals
from frcnn_proposals.formats.interpret import Hints
from frcnn_proposals.formats.known import WRITABLE, format_by_suffix
from frcnn_proposals.wording import counted

_WRITABLE = ("store", *(format.name for format in WRITABLE))


@click.command()
@click.argument("file", type=options.AnyPath)
@click.argument("out", type=options.OutputFile)
@proposals_options.hints
@click.option(
    "--to",
    "to",
    type=click.Choice(_WRITABLE),
    show_default="csv, coco, fast-rcnn-mat or npz by the suffix of OUT; otherwise store",
    help="Format of OUT.",
)
@click.option(
    "--image-set",
    type=options.FilePath,
    help="Text file with one image id per line: the order of the images in OUT, and in a FILE "
    "without ids.",
)
@click.option(
    "--images",
    type=options.FolderPath,
    help="Check that ids and boxes fit the images of this folder. Required by mmdet3 and coco, "
    "which store file names.",
)
@proposals_options.allow_mismatch
@pass_output
def convert(
    output: Output,
    file: Path,
    out: Path,
    hints: Hints,
    to: str | None,
    image_set: Path | None,
    images: Path | None,
    allow_mismatch: bool,
) -> None:
    """Convert the proposals in FILE to another format, and write them to OUT.

    \b
    frcnn proposals convert voc_2007_trainval.mat boxes.proposals
    frcnn proposals convert boxes.proposals boxes.csv
    frcnn proposals convert boxes.proposals boxes.pkl --to detectron2
    frcnn proposals convert sam-output/ masks.proposals --images photos/
    frcnn proposals convert masks.proposals masks.json --to coco --images photos/
    """
    to = to or format_by_suffix(out)
    conversion = Conversion(to, hints, image_set, images, allow_mismatch)
    result = convert_proposals(file, out, conversion)
    for remark in result.remarks:
        output.warn(remark)
    converted = f"Converted {counted(result.images, 'image')} from {result.format} to {to}"
    output.print(f"{converted}: [bold]{escape(str(out))}[/]")
