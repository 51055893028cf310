"""`frcnn bench start-up`: how light commands start that need no network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.estimate import in_bytes

if TYPE_CHECKING:
    from frcnn_cli.engine.benchmarks.start_up import StartUpBenchmark


@click.command("start-up")
@click.argument("lines", nargs=-1, metavar="[LINE]...")
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Runs of each line; medians are shown.",
)
@options.json_file
@pass_output
def bench_start_up(
    output: Output, lines: tuple[str, ...], repeats: int, json_path: Path | None
) -> None:
    """Measure the start of commands that need no network, beside bare Python and import torch.

    LINE is what follows `frcnn`, in quotes; by default the help of most commands, listings, and
    missing inputs. Shown are user and system seconds and peak memory of child processes, which
    run interleaved.

    \b
    frcnn bench start-up
    frcnn bench start-up "train --help" "detect image.jpg" --repeats 9
    """
    from frcnn_cli.engine.benchmarks.start_up import LINES, benchmark_start_up

    result = benchmark_start_up(lines or LINES, repeats, output)
    output.print(_table(result))
    if json_path is not None:
        write_json(json_path, result.to_json())


def _table(result: StartUpBenchmark) -> Table:
    table = Table(title=f"Start-up, medians of {result.repeats} runs")
    table.add_column("command")
    for heading in ("processor seconds", "peak memory", "exit code"):
        table.add_column(heading, justify="right")
    for start in result.results:
        table.add_row(
            escape(start.line),
            f"{start.seconds:.2f}",
            in_bytes(start.peak_bytes),
            str(start.exit_code),
        )
    return table
