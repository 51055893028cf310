"""`frcnn report`: one page on a detector, or on two side by side."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from frcnn_cli import __version__
from frcnn_cli.commands.report.subjects import Asked, Material, gather
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_cli.commands.shared.detection_options import data_options, detection_options, take
from frcnn_cli.engine.distributed.devices import find_device
from frcnn_cli.engine.evaluation.recall import RecallReport, evaluate_recall
from frcnn_cli.engine.evaluation.tables import truth_table
from frcnn_cli.engine.report.page import write_report
from frcnn_cli.engine.report.records import Report
from frcnn_cli.engine.report.setup import machine_facts
from frcnn_cli.engine.settings.options import DataOptions, DetectionOptions


@click.command()
@click.argument("models", nargs=-1, type=options.AnyPath, metavar="[MODEL [MODEL]]")
@click.option(
    "--out",
    type=options.FolderPath,
    default=Path("report"),
    show_default=True,
    help="Folder for index.html and the plots.",
)
@click.option("--dataset", help="Default: the one that the model was trained on.")
@data_options
@detection_options
@click.option(
    "--detections",
    multiple=True,
    type=options.AnyPath,
    help="Take these instead of detecting: COCO results json, or VOC devkit text files. "
    "Once for each model, in their order; or without a model.",
)
@click.option(
    "--score-threshold",
    "compared_from",
    type=float,
    help="Score from which detections count where two models are compared image by image. "
    "Default: 0.5, or of SVMs a margin of 0.",
)
@options.runs_root
@options.device
@pass_output
def report(output: Output, /, out: Path, **given: Any) -> None:
    """Write a page on MODEL, by default the newest run: scores, errors, pictures, time.

    With two models, both stand side by side, with what differs image by image. The page needs
    nothing but itself: it can be sent and opened anywhere. Plots lie beside it as PNG files.

    \b
    frcnn report --out report
    frcnn report runs/voc2007-vgg16 --detections found.json --out report
    frcnn report model.safetensors model-svd-256.safetensors --out compression
    frcnn report --detections results.json --dataset voc2007
    """
    data, detection = take(DataOptions, given), take(DetectionOptions, given)
    asked = Asked(data=data, detection=detection, **given)
    material = gather(output, asked)
    content = Report(
        material.dataset,
        truth_table(material.dataset),
        material.subjects,
        _recall(output, material),
        machine_facts(find_device(asked.device)),
        made=f"Made by frcnn {__version__} on {datetime.date.today().isoformat()}",
    )
    with output.progress("Drawing", None):
        page = write_report(content, out)
    for journal in material.journals:
        journal.remove()
    output.print(f"Report: [bold]{escape(str(page))}[/]")


def _recall(output: Output, material: Material) -> RecallReport | None:
    """Of those proposals that the detector takes."""
    if material.proposals is None:
        return None
    with output.progress("Recall", len(material.dataset)) as advance:
        return evaluate_recall(
            material.dataset, material.proposals, material.most_proposals, lambda: advance(1, "")
        )
