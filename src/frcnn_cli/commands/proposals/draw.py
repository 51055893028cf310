"""`frcnn proposals draw`: the best box for each object, on the image."""

from __future__ import annotations

import io
from pathlib import Path

import click
import numpy as np
import PIL.Image
from rich.markup import escape

from frcnn_cli.commands.proposals import options as proposals_options
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_cli.engine.proposals.draw import best_boxes, draw_best_boxes, draw_first_boxes
from frcnn_cli.engine.proposals.images import find_record
from frcnn_proposals.base import Image
from frcnn_proposals.errors import InputError
from frcnn_proposals.files import write_whole
from frcnn_proposals.formats.interpret import Hints
from frcnn_proposals.formats.layout import Order
from frcnn_proposals.formats.read import open_proposals
from frcnn_proposals.images import read_image


@click.command()
@click.argument("file", type=options.AnyPath)
@click.argument("image")
@click.option(
    "--out", type=options.FilePath, help="The picture. Default: <id>-proposals.png, here."
)
@click.option("--dataset", "name", help="Where IMAGE's objects are. Default: found beside IMAGE.")
@options.data_root
@click.option("--top", type=click.IntRange(min=1), help="Draw the first so many boxes instead.")
@proposals_options.hints
@pass_output
def draw(
    output: Output,
    file: Path,
    image: str,
    out: Path | None,
    name: str | None,
    data_root: Path | None,
    top: int | None,
    format: str | None,
    order: Order | None,
    base: int | None,
) -> None:
    """Draw FILE's best box for each object of IMAGE: a file, or an id of --dataset.

    \b
    frcnn proposals draw voc2007.proposals 000005 --dataset voc2007
    """
    found = find_record(image, name, data_root)
    pixels = read_image(found.path)
    size = (pixels.shape[1], pixels.shape[0])
    proposals = open_proposals(
        file,
        Hints(format, order, base),
        found.split_ids,
        lambda image_id: size if image_id == found.image_id else None,
    ).proposals
    if found.image_id not in proposals:
        raise InputError(f"{file}: has no boxes for image {found.image_id!r}")
    boxes = proposals[found.image_id]
    if top is None and found.truth is not None:
        best = best_boxes(found.truth, boxes)
        picture = draw_best_boxes(pixels, best, found.classes)
        for each in best:
            output.print(
                f"{escape(found.classes[each.label - 1])}: IoU {each.iou:.3f}, "
                f"box {each.rank + 1} of {len(boxes)}"
            )
    else:
        picture = draw_first_boxes(pixels, boxes, top or 50)
        if top is None:
            output.note("No objects are known for it (--dataset): the first 50 boxes are drawn.")
    out = out or Path(f"{found.image_id.replace('/', '_')}-proposals.png")
    write_whole(out, _png(picture))
    output.print(f"[bold]{escape(str(out))}[/]")


def _png(picture: Image) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(picture)).save(buffer, format="png")
    return buffer.getvalue()
