"""`frcnn proposals draw`: draw the best proposal for each object on an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from frcnn_cli.commands.proposals import options as proposals_options
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_proposals.formats.content import kind_of


@click.command()
@click.argument("file", type=options.AnyPath)
@click.argument("image")
@click.option(
    "--out",
    type=options.Picture,
    show_default="ID-proposals.png, or a new number",
    help="Output image: .png, .jpg or .jpeg.",
)
@click.option(
    "--dataset",
    show_default="the dataset that contains IMAGE",
    help="Dataset with IMAGE's objects.",
)
@options.data_root
@options.count("--top", help="Draw the first N proposals instead of the best ones.")
@proposals_options.hints
@pass_output
def draw(output: Output, /, file: Path, image: str, top: int | None, **given: Any) -> None:
    """Draw the best proposal in FILE for each object of IMAGE (a file, or an id of --dataset).

    \b
    frcnn proposals draw voc2007.proposals 000005 --dataset voc2007
    """
    kind_of(file)  # reports a missing file before any slow import
    from frcnn_cli.engine.proposals.draw import draw_proposals

    drawn = draw_proposals(file, image, top=top, reporter=output, **given)
    for best in drawn.best or ():
        output.print(
            f"{escape(drawn.classes[best.label - 1])}: IoU {best.iou:.3f}, "
            f"proposal {best.rank + 1} of {drawn.boxes}"
        )
    if drawn.best is None and top is None:
        output.note(
            "The image has no annotated objects (its dataset can be given with --dataset): "
            "the first 50 proposals are drawn."
        )
    output.print(f"[bold]{escape(str(drawn.path))}[/]")
