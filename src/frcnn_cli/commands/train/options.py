"""The options that set up a run, each defined once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import click
from click.shell_completion import CompletionItem

from frcnn_cli.commands.shared import options
from frcnn_cli.engine.models.presets import PRESETS, VARIANTS, Preset, Variant
from frcnn_cli.engine.settings import PrecisionChoice


def setting_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for preset, variants, files and single settings.

    `frcnn train` and `frcnn config show` use them.
    """
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def _names_of(known: tuple[Preset, ...] | tuple[Variant, ...]) -> Callable[..., Any]:
    """Shell completion for names, with the summary of each."""
    return lambda ctx, param, incomplete: [
        CompletionItem(item.name, help=item.summary)
        for item in known
        if item.name.startswith(incomplete)
    ]


_OPTIONS = (
    click.option(
        "--preset",
        shell_complete=_names_of(PRESETS),
        cls=options.LiteralDefault,
        show_default="lite",
        help="Base settings: lite, paper-s, paper-m or paper-l.",
    ),
    click.option(
        "--variant",
        "variants",
        multiple=True,
        shell_complete=_names_of(VARIANTS),
        help="Apply a variant to the preset. Repeatable.",
    ),
    click.option("--config", type=options.FilePath, help="Read settings from this TOML file."),
    click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="SECTION.NAME=VALUE",
        help="Set any single setting. Repeatable.",
    ),
    options.data_root,
    click.option(
        "--split",
        show_default="trainval if test is annotated, otherwise train",
        help="Split to train on, or a list of image ids (a .txt file).",
    ),
    click.option(
        "--val-share",
        type=float,
        cls=options.LiteralDefault,
        show_default="0.0",
        help="Hold out this part of the split, by a hash of the image ids, for evaluation.",
    ),
    click.option(
        "--backbone",
        show_default="the preset's",
        help="Network that computes the features; `frcnn model info NAME` describes one.",
    ),
    click.option(
        "--weights",
        cls=options.LiteralDefault,
        callback=options.not_empty,
        show_default="imagenet",
        help="Initial weights of the backbone: imagenet, none, or a file of ImageNet weights.",
    ),
    click.option(
        "--init",
        type=options.AnyPath,
        metavar="MODEL",
        help="Start from this detector: a file, a run by its folder or name, or a shipped model. "
        "Its classes may differ from the dataset's.",
    ),
    options.proposals,
    click.option(
        "--source",
        cls=options.LiteralDefault,
        show_default="selective-search",
        help="Proposal source to use without --proposals, for example selective-search+dense; "
        "`frcnn propose --list-sources` lists all.",
    ),
    options.parameters,
    click.option(
        "--allow-mismatch",
        is_flag=True,
        default=None,
        help="Warn instead of stopping if images, annotations and proposals do not match: skip "
        "faulty objects and images without proposals, and clip boxes to their image.",
    ),
    click.option(
        "--sampling",
        type=click.Choice(["hierarchical", "roi-centric"]),
        cls=options.LiteralDefault,
        show_default="hierarchical",
        help="Sample RoIs from a few images (hierarchical), or each RoI from a different image, "
        "as R-CNN does (roi-centric).",
    ),
    click.option(
        "--iterations",
        type=int,
        show_default="the preset's",
        help="Training iterations (optimizer steps). `lite` takes fewer below 1,000 images.",
    ),
    click.option(
        "--epochs",
        type=float,
        help="Passes over the training images, instead of --iterations.",
    ),
    click.option(
        "--learning-rate",
        type=float,
        show_default="the preset's",
        help="Initial learning rate.",
    ),
    click.option(
        "--scale",
        type=click.IntRange(min=32),
        show_default="the preset's",
        help="Shorter side of the input images in pixels.",
    ),
    click.option(
        "--seed",
        type=int,
        cls=options.LiteralDefault,
        show_default="0",
        help="Seed of all random numbers. The same seed gives the same weights.",
    ),
    click.option(
        "--workers",
        type=int,
        cls=options.LiteralDefault,
        show_default="1",
        help="Number of processes that prepare batches.",
    ),
    click.option(
        "--precision",
        type=click.Choice(get_args(PrecisionChoice)),
        show_default="auto; float32 for paper-*",
        help="Data type of the forward and backward passes. auto: bfloat16 for `lite` on a device "
        "with instructions for it, otherwise float32.",
    ),
    click.option(
        "--compile",
        is_flag=True,
        default=None,
        help="Compile the feature layers with torch.compile.",
    ),
    click.option(
        "--checkpoint-every",
        type=int,
        cls=options.LiteralDefault,
        show_default="500",
        help="Iterations between checkpoints.",
    ),
    click.option(
        "--eval-every",
        type=int,
        show_default="no evaluation",
        help="Iterations between evaluations on val.",
    ),
)
