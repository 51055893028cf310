"""`frcnn report`: one page about a detector, or about two side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_cli.commands.shared.detection_options import (
    check_data,
    data_options,
    detection_options,
    take,
)
from frcnn_cli.engine.evaluation.detections_file import check_detections
from frcnn_cli.engine.models.store import find_model
from frcnn_cli.engine.settings.options import DataOptions, DetectionOptions
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.files import check_writable


@dataclass(frozen=True)
class ReportOptions:
    """The options of `frcnn report`. Raises MisuseError if they contradict each other.

    compared_from: minimum score of a detection that counts where not all scores do.
    """

    models: tuple[Path, ...]
    out: Path
    data: DataOptions
    detection: DetectionOptions
    detections: tuple[Path, ...]
    compared_from: float | None
    corloc: bool
    runs_root: Path
    device: str

    def __post_init__(self) -> None:
        if len(self.models) > 2 or len(self.detections) > 2:
            raise MisuseError("A report compares at most two models.")
        if self.models and self.detections and len(self.models) != len(self.detections):
            raise MisuseError("Give --detections once per model, or not at all.")
        if self.detections and not self.models and self.data.dataset is None:
            raise MisuseError("--detections without a model requires --dataset.")


@click.command()
@click.argument("models", nargs=-1, type=options.AnyPath, metavar="[MODEL [MODEL]]")
@click.option(
    "--out",
    type=options.OutputFolder,
    default=Path("report"),
    show_default=True,
    help="Folder for index.html and the plots.",
)
@click.option(
    "--dataset", show_default="the model's training dataset", help="Dataset to evaluate on."
)
@data_options
@detection_options
@click.option(
    "--detections",
    multiple=True,
    type=options.AnyPath,
    help="Use these detections instead of running the model: COCO results JSON, or text "
    "files, one per class (VOC devkit) or per image. Give it once per model, in "
    "the same order, or without a model.",
)
@click.option(
    "--score-threshold",
    "compared_from",
    type=float,
    show_default="0.5; 0.05 for WSDDN; a margin of 0 for SVMs",
    help="Minimum score of a detection that counts in precision, recall, the confusions, and the "
    "comparison image by image.",
)
@options.corloc
@options.runs_root
@options.device
@pass_output
def report(output: Output, /, **given: Any) -> None:
    """Write a report on MODEL: scores, errors, example images, time.

    MODEL is a file, a run by its folder or name, or a shipped model, by default the newest run, or
    else voc. Two models are shown side by side, with their differences image by image. The report
    is one self-contained page that opens anywhere. Plots are also written next to it as PNG files.

    \b
    frcnn report --out report
    frcnn report runs/voc2007-vgg16 --detections found.json --out report
    frcnn report model.safetensors model-svd-256.safetensors --out compression
    frcnn report --detections results.json --dataset voc2007
    """
    data, detection = take(DataOptions, given), take(DetectionOptions, given)
    chosen = ReportOptions(data=data, detection=detection, **given)
    _check(chosen)
    from frcnn_cli.engine.distributed.devices import find_device
    from frcnn_cli.engine.models.loaded import open_model
    from frcnn_cli.engine.pages.report.subjects import report_on_files, report_on_models

    device = find_device(chosen.device)
    if chosen.detections and not chosen.models:
        page = report_on_files(
            chosen.detections, chosen.out, data, device, chosen.compared_from, output, chosen.corloc
        )
    else:
        models = [
            open_model(path, chosen.runs_root, device, detection.precision, output)
            for path in chosen.models or (None,)
        ]
        page = report_on_models(
            models,
            chosen.out,
            data,
            detection,
            chosen.detections,
            chosen.compared_from,
            output,
            chosen.corloc,
        )
    output.print(f"Report: [bold]{escape(str(page))}[/]")


def _check(chosen: ReportOptions) -> None:
    """Raise for missing files and an unusable folder, before anything slow is imported."""
    check_writable(chosen.out, is_folder=True)
    check_data(chosen.data)
    for path in chosen.detections:
        check_detections(path)
    if chosen.models or not chosen.detections:
        for model in chosen.models or (None,):
            find_model(model, chosen.runs_root)
