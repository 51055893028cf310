"""`frcnn data generate`: a small dataset of textured shapes."""

from __future__ import annotations

from pathlib import Path

import click

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_proposals.wording import counted


@click.command()
@click.argument("out", type=options.OutputFolder)
@click.option(
    "--images",
    default=400,
    show_default=True,
    help="Number of images; a quarter becomes the test split.",
)
@click.option(
    "--seed", default=0, show_default=True, help="Random seed; the same seed gives the same images."
)
@click.option(
    "--size",
    type=(int, int),
    default=(320, 240),
    show_default=True,
    metavar="WIDTH HEIGHT",
    help="Image size in pixels.",
)
@pass_output
def generate(output: Output, out: Path, images: int, seed: int, size: tuple[int, int]) -> None:
    """Write a small dataset of textured shapes to OUT, in the VOC layout.

    \b
    frcnn data generate data/shapes
    frcnn train shapes
    """
    from frcnn_cli.engine.datasets.generate.dataset import generate_dataset

    generate_dataset(out, images, seed, size, output)
    output.note(f"Wrote {counted(images, 'image')} to {out}. Next: `frcnn train {out}`.")
