"""`frcnn bench photo`: selective search of a large photo against an image of usual size."""

from __future__ import annotations

from pathlib import Path

import click

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.tables import make_table
from frcnn_cli.engine.benchmarks.cases import LIST_LENGTHS
from frcnn_cli.engine.datasets.locate import locate
from frcnn_proposals.sources.selective_search import Mode
from frcnn_proposals.wording import counted


@click.command("photo")
@click.option("--dataset", "name", default="voc2007", show_default=True, help="Dataset to search.")
@click.option("--split", default="trainval", show_default=True, help="Split of the dataset.")
@options.data_root
@options.count("--images", default=5, help="Number of images, spread evenly over the split.")
@options.count("--rounds", default=3, help="Number of timed searches per image.")
@click.option(
    "--mode",
    "modes",
    type=click.Choice(list(LIST_LENGTHS)),
    multiple=True,
    show_default="both",
    help="Run only this mode.",
)
@options.json_file
@pass_output
def bench_photo(
    output: Output,
    name: str,
    split: str,
    data_root: Path | None,
    images: int,
    rounds: int,
    modes: tuple[Mode, ...],
    json_path: Path | None,
) -> None:
    """Time selective search of an image of 12 megapixels and of images of a dataset.

    The large image is a mosaic of the others. Times are processor seconds of one thread, the
    minimum over all rounds, from pixels to boxes; large images are first reduced. Memory includes
    the pixels.

    \b
    frcnn bench photo --data-root VOCdevkit --rounds 5
    """
    locate(name, data_root)  # an unknown dataset is reported before anything slow is imported
    from frcnn_cli.engine.benchmarks.photo import benchmark_photo

    modes = modes or tuple(LIST_LENGTHS)
    found = benchmark_photo(name, split, data_root, images, rounds, modes, output)
    rows = (
        (
            each.mode,
            f"{each.image_s:.3f}",
            f"{each.photo_s:.3f}",
            f"{each.ratio:.2f}",
            f"{each.image_bytes / 1e6:.0f}",
            f"{each.photo_bytes / 1e6:.0f}",
        )
        for each in found
    )
    title = f"12 megapixels and {counted(found[0].images, 'image')} of {name} {split}"
    headings = ("mode", "image, s", "photo, s", "ratio", "image, MB", "photo, MB")
    output.print(make_table(title, headings, rows))
    write_json(json_path, {"modes": [each.to_json() for each in found]})
