"""`frcnn model info`: layers, shapes, parameters and multiply-adds."""

from __future__ import annotations

from pathlib import Path

import click

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.engine.models.info import model_info


@click.command()
@click.argument("model", metavar="[MODEL|BACKBONE]", required=False)
@options.runs_root
@options.json_file
@pass_output
def info(output: Output, model: str | None, runs_root: Path, json_path: Path | None) -> None:
    """Show a model, by default the newest run's, or a backbone: its layers, their shapes,
    parameters and multiply-adds, and for a model how it was made.

    BACKBONE is a name such as vgg16, or any classification network of torchvision's.

    \b
    frcnn model info runs/voc2007-efficientnet_lite2
    frcnn model info caffenet
    frcnn model info torchvision:resnet50 --json resnet50.json
    """
    found = model_info(model, runs_root)
    from frcnn_cli.commands.model.tables import fact_table, info_to_json, layer_table
    from frcnn_cli.commands.train.tables import setting_table

    if found.file is not None:
        output.print(setting_table(found.file.experiment))
    output.print(layer_table(found.costs))
    output.print(fact_table(found))
    if json_path is not None:
        write_json(json_path, info_to_json(found))
