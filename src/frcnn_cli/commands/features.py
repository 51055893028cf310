"""`frcnn features`: write what the network computes for boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import click
from rich.markup import escape

from frcnn_cli.commands.shared import detection_options, options
from frcnn_cli.commands.shared.console import Output, pass_output, raise_failures
from frcnn_cli.commands.shared.detection_options import check_proposals_file, take
from frcnn_cli.engine.datasets.inputs import find_images
from frcnn_cli.engine.detection.features.files import check_output
from frcnn_cli.engine.models.store import check_network
from frcnn_cli.engine.settings.features import BoxChoice, FeatureOptions, FeatureType, Layer
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_proposals.wording import counted


@dataclass(frozen=True)
class FeaturesOptions:
    """The options of `frcnn features`."""

    images: tuple[str, ...]
    out: Path
    model: Path | None
    backbone: str | None
    weights: str | None
    features: FeatureOptions
    detection: DetectionOptions
    proposals: Path | None
    source: str | None
    parameters: tuple[str, ...]
    runs_root: Path
    device: str
    max_pixels: int


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--out",
    type=options.OutputPath,
    required=True,
    help="Write to this .h5 or .npz file, or to a folder with one .npz file per image.",
)
@options.model
@click.option(
    "--backbone",
    help="Use this network with its ImageNet weights instead of a model, for example "
    "torchvision:resnet50.",
)
@click.option(
    "--weights",
    cls=options.LiteralDefault,
    callback=options.not_empty,
    show_default="imagenet",
    help="Weights of --backbone: imagenet, none (random), or a file of ImageNet weights.",
)
@click.option(
    "--layer",
    type=click.Choice(get_args(Layer)),
    show_default="fc7; pooled for --backbone",
    help="Write the map after RoI pooling, or the outputs of fc6 or fc7.",
)
@click.option(
    "--dtype",
    type=click.Choice(get_args(FeatureType)),
    default="float32",
    show_default=True,
    help="Type of the written features.",
)
@options.proposals_of_images
@options.source
@options.parameters
@click.option(
    "--boxes",
    type=click.Choice(get_args(BoxChoice)),
    show_default="proposals with --proposals, --source or --backbone; otherwise detections",
    help="Use all proposals, or those that the model's class scores select.",
)
@click.option(
    "--score-threshold",
    type=float,
    show_default="0.2; 0.05 for WSDDN; a margin of 0 for SVMs",
    help="Select boxes with at least this class score, within --min-boxes and --max-boxes.",
)
@click.option(
    "--min-boxes",
    type=click.IntRange(min=0),
    show_default="10",
    help="Select at least this many boxes per image.",
)
@options.count(
    "--max-boxes",
    show_default="100 selected boxes, or all proposals",
    help="Maximum number of boxes per image.",
)
@detection_options.nms_iou
@detection_options.max_proposals
@detection_options.scales
@detection_options.precision
@options.runs_root
@options.device
@options.max_pixels
@pass_output
def features(output: Output, /, **given: Any) -> None:
    """Write the features of the boxes in IMAGES (files, folders, globs, lists, datasets).

    The boxes come from --proposals, from --source, or are the model's own best 10 to 100. Finished
    images are stored next to the output; after Ctrl-C or a crash, run the same command to resume.

    \b
    frcnn features photos/ --out photos.h5
    frcnn features photos/ --proposals photos.proposals --layer pooled --out pooled.npz
    frcnn features photos/ --backbone torchvision:resnet50 --out resnet.h5
    """
    chosen = FeaturesOptions(
        features=take(FeatureOptions, given), detection=take(DetectionOptions, given), **given
    )
    files = find_images(chosen.images, allow_mismatch=True, reporter=output)
    _check(chosen)
    from frcnn_cli.engine.detection.features.extractor import make_extractor
    from frcnn_cli.engine.detection.features.run import extract_in_files
    from frcnn_cli.engine.models.backbone import network_in_team

    with network_in_team(
        chosen.model,
        chosen.backbone,
        chosen.runs_root,
        chosen.device,
        chosen.weights,
        chosen.detection.precision,
        chosen.features.reads_fc,
        output,
    ) as (loaded, team):
        extractor = make_extractor(
            loaded,
            chosen.features,
            chosen.detection,
            chosen.proposals,
            chosen.source,
            chosen.parameters,
        )
        written = extract_in_files(extractor, files, chosen.out, chosen.max_pixels, team, output)
    if team.is_first:
        boxes, images = counted(written.boxes, "box", "boxes"), counted(written.images, "image")
        if written.images or not written.failures:  # otherwise nothing was written
            output.print(f"Features of {boxes} in {images}: [bold]{escape(str(chosen.out))}[/]")
        raise_failures(written.failures, len(written.failures))


def _check(chosen: FeaturesOptions) -> None:
    """Raise for what can be found without the network."""
    check_output(chosen.out, chosen.proposals)
    check_proposals_file(chosen.proposals)
    check_network(chosen.model, chosen.backbone, chosen.weights, chosen.runs_root)
