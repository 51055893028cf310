"""`frcnn data split`: divide the images of a dataset into two lists."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_cli.engine.datasets.split_lists import write_split_lists
from frcnn_proposals.wording import counted


@click.command()
@click.argument("dataset")
@click.argument("out", type=options.OutputFolder)
@click.option(
    "--val-share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.2,
    show_default=True,
    help="Part of the images in val.txt.",
)
@click.option(
    "--split", show_default="the split that training uses", help="Split of the dataset to divide."
)
@options.data_root
@pass_output
def split(
    output: Output,
    dataset: str,
    out: Path,
    val_share: float,
    split: str | None,
    data_root: Path | None,
) -> None:
    """Divide the images of DATASET into OUT/train.txt and OUT/val.txt, by a hash of their ids.

    The lists can be used as --split. Images stay in their list when others are added, and are
    those of `frcnn train --val-share`.

    \b
    frcnn data split voc2007 lists --split trainval
    frcnn train voc2007 --split lists/train.txt
    """
    lists = write_split_lists(dataset, out, val_share, split, data_root)
    for path, images in ((lists.train, lists.train_images), (lists.val, lists.val_images)):
        content = f"{counted(images, 'image')} of split {lists.split}"
        output.print(f"[bold]{escape(str(path))}[/]: {escape(content)}")
    name, train, val = (shlex.quote(str(text)) for text in (dataset, lists.train, lists.val))
    output.note(
        f"Next: `frcnn train {name} --split {train}`, then `frcnn eval MODEL {name} --split {val}`."
    )
