"""`frcnn bench models`: trained models against each other."""

from __future__ import annotations

from pathlib import Path

import click

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.tables import make_table
from frcnn_cli.engine.models.shipped.table import display_name
from frcnn_proposals.wording import counted


@click.command("models")
@click.argument("models", metavar="MODEL...", nargs=-1, required=True, type=options.AnyPath)
@options.count(
    "--images",
    "count",
    default=3,
    help="Number of images, spread evenly over voc2007; generated images if it is not found.",
)
@options.count("--rounds", default=5, help="Number of timed runs per model and image.")
@options.runs_root
@options.json_file
@pass_output
def bench_models(
    output: Output,
    models: tuple[Path, ...],
    count: int,
    rounds: int,
    runs_root: Path,
    json_path: Path | None,
) -> None:
    """Time detection by each MODEL, with its own settings, relative to the first.

    Times are seconds per image on the CPU: with the proposals given, and from pixels, including
    selective search. Ratios are meaningful only on an otherwise idle machine.

    \b
    frcnn bench models runs/voc2007 runs/voc2007/model-svd-256.safetensors
    """
    from frcnn_cli.engine.benchmarks.models import benchmark_models

    found = benchmark_models(models, runs_root, count, rounds, output)
    kind = "VOC" if found.photographs else "generated"
    title = f"Detection in {counted(count, f'{kind} image')}, {counted(found.threads, 'thread')}"
    headings = ("model", "proposals given, s", "ratio", "from pixels, s", "ratio")
    rows = (
        (
            display_name(times.path),
            f"{times.given_s:.3f}",
            f"{times.given_ratio:.2f}",
            f"{times.made_s:.3f}",
            f"{times.made_ratio:.2f}",
        )
        for times in found.models
    )
    output.print(make_table(title, headings, rows))
    write_json(json_path, found.to_json())
