"""`frcnn doctor`: whether this machine is ready, and what mends what is not."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.engine.doctor import Finding, examine


@click.command()
@options.data_root
@options.json_file
@pass_output
@click.pass_context
def doctor(
    context: click.Context, output: Output, data_root: Path | None, json_path: Path | None
) -> None:
    """Say whether this machine is ready, and for each problem the command that mends it.

    Ends with exit code 1 where there is a problem.

    \b
    frcnn doctor
    frcnn doctor --json doctor.json
    """
    findings = examine(data_root)
    output.print(_table(findings))
    problems = [each for each in findings if each.problem]
    for each in findings:
        if each.mend:
            kind = "Problem" if each.problem else "To add"
            line = f"[bold]{kind}[/], {escape(each.name)}: {escape(each.mend)}"
            output.results.print(line, soft_wrap=True, highlight=False)
    output.print(f"{len(problems)} problems." if problems else "Ready.")
    write_json(json_path, {"ready": not problems, "findings": [asdict(f) for f in findings]})
    if problems:
        context.exit(1)


def _table(findings: tuple[Finding, ...]) -> Table:
    table = Table(show_header=False)
    table.add_column()
    table.add_column()
    table.add_column(overflow="fold")
    for each in findings:
        mark = "[red]problem[/]" if each.problem else "[green]ok[/]"
        table.add_row(escape(each.name), mark, escape(each.text))
    return table
