"""`frcnn doctor`: check that this machine is ready."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.tables import FoldedTable
from frcnn_cli.engine.doctor import Finding, examine


@click.command()
@options.data_root
@options.json_file
@pass_output
@click.pass_context
def doctor(
    context: click.Context, output: Output, data_root: Path | None, json_path: Path | None
) -> None:
    """Check that this machine is ready, and print the fix for each problem.

    The exit code is 1 if there is a problem.

    \b
    frcnn doctor
    frcnn doctor --json doctor.json
    """
    findings = examine(data_root)
    output.print(_table(findings))
    problems = [finding for finding in findings if finding.problem]
    for finding in findings:
        if finding.fix:
            purpose = "Fix for" if finding.problem else "To add"
            line = f"[bold]{purpose}[/] {escape(finding.name)}: {escape(finding.fix)}"
            output.results.print(line, soft_wrap=True, highlight=False)
    output.print(f"Problems: {len(problems)}." if problems else "Ready.")
    write_json(json_path, {"ready": not problems, "findings": [asdict(f) for f in findings]})
    if problems:
        context.exit(1)


def _table(findings: tuple[Finding, ...]) -> Table:
    table = FoldedTable(show_header=False)
    table.add_column()
    table.add_column()
    table.add_column(overflow="fold")
    for finding in findings:
        status = "[red]problem[/]" if finding.problem else "[green]ok[/]"
        table.add_row(escape(finding.name), status, escape(finding.text))
    return table
