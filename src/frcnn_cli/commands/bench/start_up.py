"""`frcnn bench start-up`: time and memory of starting commands that need no network."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.estimate import in_bytes
from frcnn_cli.commands.shared.tables import make_table
from frcnn_proposals.wording import counted


@click.command("start-up")
@click.argument("lines", nargs=-1, metavar="[LINE]...")
@options.count("--repeats", default=5, help="Number of timed runs per line; medians are shown.")
@options.json_file
@pass_output
def bench_start_up(
    output: Output, lines: tuple[str, ...], repeats: int, json_path: Path | None
) -> None:
    """Measure the start-up of commands that need no network, against bare Python and import torch.

    LINE is a quoted list of arguments of `frcnn`. By default, help texts, listings and errors for
    missing inputs are measured. The table shows user plus system seconds and peak memory of child
    processes, which run interleaved.

    \b
    frcnn bench start-up
    frcnn bench start-up "train --help" "detect image.jpg" --repeats 9
    """
    from frcnn_cli.engine.benchmarks.start_up import LINES, benchmark_start_up

    result = benchmark_start_up(lines or LINES, repeats, output)
    headings = ("command", "processor seconds", "peak memory", "exit code")
    rows = (
        (start.line, f"{start.seconds:.2f}", in_bytes(start.peak_bytes), str(start.exit_code))
        for start in result.results
    )
    output.print(make_table(f"Start-up, medians of {counted(repeats, 'run')}", headings, rows))
    write_json(json_path, asdict(result))
