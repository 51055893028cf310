"""`frcnn explain`: one page that walks through the detection in one image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.detection_options import box_options, check_proposals_file, take
from frcnn_cli.engine.datasets.image_sizes import note_sixteen_bit
from frcnn_cli.engine.models.store import find_model
from frcnn_cli.engine.pages.explain.truth import annotated_record, find_record
from frcnn_cli.engine.records import Dataset, ImageRecord
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.images import image_size


@dataclass(frozen=True)
class ExplainOptions:
    """The options of `frcnn explain`. Raises MisuseError if they contradict each other."""

    image: str
    model: Path | None
    truth: Path | None
    dataset: str | None
    split: str | None
    data_root: Path | None
    detection: DetectionOptions
    proposals: Path | None
    source: str | None
    parameters: tuple[str, ...]
    out: Path
    runs_root: Path
    max_pixels: int
    json_path: Path | None

    def __post_init__(self) -> None:
        if self.truth is not None and self.dataset is not None:
            raise MisuseError("The ground truth comes from --truth or from --dataset: give one.")
        if self.dataset is None and (self.split is not None or self.data_root is not None):
            raise MisuseError("--split and --data-root have no effect without --dataset.")


@click.command()
@click.argument("image", metavar="IMAGE")
@options.model
@click.option(
    "--truth",
    type=options.FilePath,
    help="Annotation of the image in VOC's format (XML). The page then explains the loss, too.",
)
@click.option(
    "--dataset",
    help="Dataset that has the image, instead of --truth. IMAGE may then be an image id.",
)
@click.option("--split", help="Split of the dataset.", show_default="all")
@options.data_root
@options.proposals_of_images
@options.source
@options.parameters
@click.option(
    "--score-threshold",
    type=float,
    show_default="0.5; a margin of 0 for SVMs",
    help="Minimum score of a detection.",
)
@box_options
@click.option(
    "--out",
    type=options.OutputFolder,
    default=Path("explain"),
    show_default=True,
    help="Folder for index.html.",
)
@options.runs_root
@options.max_pixels
@options.json_file
@pass_output
def explain(output: Output, /, **given: Any) -> None:
    """Write a page that walks through the detection in IMAGE, in the order of the paper.

    Each step is shown with the numbers that the network computes: the feature map, RoI pooling, the
    two heads, the loss and its gradients, suppression, truncated SVD. The page is self-contained
    and opens anywhere. The network runs on the CPU, in float32 and at a single scale. --json writes
    all numbers of the page.

    \b
    frcnn explain street.jpg
    frcnn explain street.jpg --truth street.xml --model runs/streets
    frcnn explain 000012 --dataset voc2007 --out page
    """
    chosen = ExplainOptions(detection=take(DetectionOptions, given), **given)
    dataset, record = _find_image(chosen, output)
    check_proposals_file(chosen.proposals)
    find_model(chosen.model, chosen.runs_root)
    import torch

    from frcnn_cli.engine.detection.run import make_detector
    from frcnn_cli.engine.evaluation.images import check_classes
    from frcnn_cli.engine.models.loaded import open_model
    from frcnn_cli.engine.pages.explain.page import explain_file

    cpu = torch.device("cpu")
    loaded = open_model(chosen.model, chosen.runs_root, cpu, "float32", output)
    if dataset is not None:
        check_classes(loaded, dataset)
    if chosen.truth is not None:
        record = annotated_record(record.path, chosen.truth, loaded.classes)
    detector = make_detector(
        loaded,
        chosen.detection,
        chosen.proposals,
        chosen.source,
        parameters=chosen.parameters,
    )
    explained = explain_file(detector, record, chosen.out, chosen.max_pixels, output)
    write_json(chosen.json_path, explained.numbers)
    output.print(f"Page: [bold]{escape(str(explained.page))}[/]")


def _find_image(chosen: ExplainOptions, output: Output) -> tuple[Dataset | None, ImageRecord]:
    """The image, and its dataset if one is given. Raises before anything slow is imported."""
    path = Path(chosen.image)
    if chosen.dataset is not None:
        root = chosen.data_root
        dataset, record = find_record(chosen.image, chosen.dataset, chosen.split, root, output)
        if record.truth is None:
            output.warn(f"{chosen.dataset} has no boxes for {record.image_id}.")
        return dataset, record
    image_size(path)
    if chosen.truth is not None and not chosen.truth.is_file():
        raise InputError(f"{chosen.truth}: no such file")
    note_sixteen_bit([path], output)
    return None, ImageRecord(path.stem, path)
