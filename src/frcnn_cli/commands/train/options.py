"""The options that make up the setting of a run, each defined once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import click
from click.shell_completion import CompletionItem

from frcnn_cli.commands.shared import options
from frcnn_cli.engine.models.presets import PRESETS, VARIANTS, Preset, Variant
from frcnn_cli.engine.settings import PrecisionChoice


def setting_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Preset, variants, files and single settings, for `frcnn train` and `config show`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def _names_of(known: tuple[Preset, ...] | tuple[Variant, ...]) -> Callable[..., Any]:
    """Shell completion by name, each with its summary."""
    return lambda ctx, param, incomplete: [
        CompletionItem(item.name, help=item.summary)
        for item in known
        if item.name.startswith(incomplete)
    ]


_OPTIONS = (
    click.option(
        "--preset",
        shell_complete=_names_of(PRESETS),
        help="lite (the default), paper-s, paper-m or paper-l.",
    ),
    click.option(
        "--variant",
        "variants",
        multiple=True,
        shell_complete=_names_of(VARIANTS),
        help="A change to the preset; repeatable.",
    ),
    click.option("--config", type=options.FilePath, help="TOML file of settings."),
    click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="SECTION.NAME=VALUE",
        help="Any single setting.",
    ),
    options.data_root,
    click.option(
        "--split", help="Split to train on. Default: trainval, or train if val is evaluated on."
    ),
    click.option(
        "--backbone",
        help="Network under the detector; `frcnn model info` shows one. Default: the preset's.",
    ),
    click.option("--weights", help="imagenet (the default), none, or a file of ImageNet weights."),
    click.option("--init", type=options.AnyPath, help="Detector to start from, of any classes."),
    options.proposals,
    click.option(
        "--source",
        help="Where proposals come from when no file is given, as selective-search (the default) "
        "or selective-search+dense; `frcnn propose --list-sources` shows all.",
    ),
    click.option(
        "--allow-mismatch",
        is_flag=True,
        default=None,
        help="Warn instead of stopping where images, annotations and proposals do not match: skip "
        "faulty objects and images without proposals.",
    ),
    click.option(
        "--sampling",
        type=click.Choice(["hierarchical", "roi-centric"]),
        help="Sample RoIs from a few images (default) or each RoI from a different image, as "
        "R-CNN does.",
    ),
    click.option("--iterations", type=int, help="Steps of SGD. Default: the preset's."),
    click.option("--learning-rate", type=float, help="Of the first steps. Default: the preset's."),
    click.option(
        "--scale", type=click.IntRange(min=32), help="Shorter side of the input in pixels."
    ),
    click.option(
        "--seed",
        type=int,
        help="Seed of all random numbers; the same seed gives the same weights. Default: 0.",
    ),
    click.option("--workers", type=int, help="Processes that prepare batches. Default: 1."),
    click.option(
        "--precision",
        type=click.Choice(get_args(PrecisionChoice)),
        help="Arithmetic of forward and backward. auto: bfloat16 for `lite` on a device that has "
        "instructions for it, otherwise float32. Default: auto, and float32 for paper-*.",
    ),
    click.option("--compile", is_flag=True, default=None, help="Compile the feature layers."),
    click.option(
        "--checkpoint-every", type=int, help="Iterations between checkpoints. Default: 500."
    ),
    click.option("--eval-every", type=int, help="Iterations between evaluations on val."),
)
