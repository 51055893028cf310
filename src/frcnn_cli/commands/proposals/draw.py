"""`frcnn proposals draw`: the best box for each object, on the image."""

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
    "--out", type=options.FilePath, help="The picture. Default: <id>-proposals.png, here."
)
@click.option("--dataset", help="Where IMAGE's objects are. Default: found beside IMAGE.")
@options.data_root
@options.count("--top", help="Draw this many first boxes instead.")
@proposals_options.hints
@pass_output
def draw(output: Output, /, file: Path, image: str, top: int | None, **given: Any) -> None:
    """Draw FILE's best box for each object of IMAGE: a file, or an id of --dataset.

    \b
    frcnn proposals draw voc2007.proposals 000005 --dataset voc2007
    """
    kind_of(file)  # a missing file is reported before anything slow is imported
    from frcnn_cli.engine.proposals.draw import draw_proposals

    drawn = draw_proposals(file, image, top=top, **given)
    for best in drawn.best or ():
        output.print(
            f"{escape(drawn.classes[best.label - 1])}: IoU {best.iou:.3f}, "
            f"box {best.rank + 1} of {drawn.boxes}"
        )
    if drawn.best is None and top is None:
        output.note("No objects are known for it (--dataset): the first 50 boxes are drawn.")
    output.print(f"[bold]{escape(str(drawn.path))}[/]")
