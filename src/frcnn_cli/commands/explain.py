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
from frcnn_cli.engine.pages.explain.run import explain_choice
from frcnn_cli.engine.pages.explain.truth import ImageChoice
from frcnn_cli.engine.settings.options import DetectionOptions


@dataclass(frozen=True)
class ExplainOptions:
    """The options of `frcnn explain`."""

    image: ImageChoice
    model: Path | None
    detection: DetectionOptions
    proposals: Path | None
    source: str | None
    parameters: tuple[str, ...]
    out: Path
    runs_root: Path
    max_pixels: int
    json_path: Path | None


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
    show_default="the model's setting, usually 0.5, or 0.05 for WSDDN; a margin of 0 for SVMs",
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
    frcnn explain street.jpg --truth street.xml --model runs/voc2007
    frcnn explain 000012 --dataset voc2007 --out page
    """
    image, detection = take(ImageChoice, given), take(DetectionOptions, given)
    chosen = ExplainOptions(image, detection=detection, **given)
    check_proposals_file(chosen.proposals)
    explained = explain_choice(
        chosen.image,
        chosen.model,
        chosen.runs_root,
        chosen.out,
        chosen.detection,
        chosen.proposals,
        chosen.source,
        chosen.parameters,
        chosen.max_pixels,
        output,
    )
    write_json(chosen.json_path, explained.numbers)
    output.print_file(f"Page: [bold]{escape(str(explained.page))}[/]")
