"""`frcnn bench propose`: our selective search against OpenCV's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.tables import make_table
from frcnn_cli.engine.benchmarks.cases import LIST_LENGTHS
from frcnn_cli.engine.datasets.locate import locate
from frcnn_proposals.sources.selective_search import Mode
from frcnn_proposals.wording import counted

if TYPE_CHECKING:
    from frcnn_cli.engine.benchmarks.propose import ModeResult


@click.command("propose")
@click.option("--dataset", "name", default="voc2007", show_default=True, help="Dataset to search.")
@click.option("--split", default="trainval", show_default=True, help="Split of the dataset.")
@options.data_root
@options.count("--images", default=100, help="Number of images, spread evenly over the split.")
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
def bench_propose(
    output: Output,
    name: str,
    split: str,
    data_root: Path | None,
    images: int,
    modes: tuple[Mode, ...],
    json_path: Path | None,
) -> None:
    """Time selective search against OpenCV's, one thread each, and measure the recall of both.

    Only the first 2,147 (fast) or 10,108 (quality) proposals are scored, as in the paper. The ratio
    is the median over images; it is meaningful only on an otherwise idle machine.

    \b
    frcnn bench propose --data-root VOCdevkit --images 100
    """
    locate(name, data_root)  # an unknown dataset is reported before anything slow is imported
    from frcnn_cli.engine.benchmarks.propose import benchmark_proposals

    modes = modes or tuple(LIST_LENGTHS)
    found = benchmark_proposals(name, split, data_root, images, modes, output)
    output.print(_table(found.modes, f"{counted(found.images, 'image')} of {name} {split}"))
    write_json(json_path, found.to_json())


def _table(results: dict[Mode, ModeResult], title: str) -> Table:
    numbers = ("s per image", "ratio", "MABO", "not difficult", "recall 0.5", "scored", "found")
    rows = (
        (
            mode,
            who,
            f"{contestant.seconds:.4f}",
            f"{result.ratio:.1f}" if who == "ours" else "",
            f"{contestant.mabo:.4f}",
            f"{contestant.not_difficult_mabo:.4f}",
            f"{contestant.recall_50:.4f}",
            f"{contestant.boxes:.0f}",
            f"{contestant.found:.0f}",
        )
        for mode, result in results.items()
        for who, contestant in (("ours", result.ours), ("OpenCV", result.opencv))
    )
    return make_table(f"Selective search on {title}", ("mode", "by", *numbers), rows, names=2)
