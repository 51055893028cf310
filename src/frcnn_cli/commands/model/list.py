"""`frcnn model list`: the models known by name, with their figures."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.tables import make_table
from frcnn_cli.engine.models.shipped.table import ListedModel, list_models

LEGEND = (
    "params: in millions. mult. adds: multiply-adds in billions, per image with 2,000 proposals. "
    "mAP (11-point), AP (0.50:0.95), AP75: in percent, on the test split of the VOC subset. ms: "
    "milliseconds per image on two cores, from pixels; net ms: with given proposals."
)


@click.command("list")
@options.json_file
@pass_output
def list_command(output: Output, json_path: Path | None) -> None:
    """List the models known by name: size, cost, accuracy, time per image.

    A model of the package can be named wherever a command takes a model. For a model that is not in
    the package, the command that creates it is printed.

    \b
    frcnn model list
    frcnn model list --json models.json
    """
    models = list_models()
    rows = [(model.name, model.backbone, *figures(model).values()) for model in models]
    headings = ("name", "backbone", *figures(models[0]))
    output.print(make_table(None, headings, rows, names=2, narrow=True))
    output.note(LEGEND)
    for model in models:
        where = "" if model.is_shipped else ". Not in the package; its command:"
        output.print(f"[bold]{model.name}[/]: {escape(model.summary)}{where}")
        if not model.is_shipped:
            output.print(f"  {escape(model.command)}")
    if json_path is not None:
        write_json(json_path, {"models": [model.to_json() for model in models]})


def figures(model: ListedModel) -> dict[str, str]:
    """Heading -> figure of a model, as text; a dash for one that has not been measured."""
    return {
        "MB": _scaled(model.size, 1e6),
        "par-\nams": _scaled(model.parameters, 1e6),
        "mult.\nadds": _scaled(model.multiply_adds, 1e9),
        "mAP": _scaled(model.map),
        "AP": _scaled(model.ap),
        "AP75": _scaled(model.ap75),
        "ms": _scaled(model.milliseconds, digits=0),
        "net\nms": _scaled(model.milliseconds_given, digits=0),
    }


def _scaled(value: float | None, unit: float = 1, digits: int = 1) -> str:
    return "-" if value is None else f"{value / unit:.{digits}f}"
