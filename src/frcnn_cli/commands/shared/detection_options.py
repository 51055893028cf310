"""Options of commands that detect: on which images, with which proposals, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from frcnn_cli.commands.shared import options
from frcnn_cli.engine.settings import PrecisionChoice
from frcnn_cli.engine.settings.options import DataOptions
from frcnn_proposals.errors import MisuseError

Command = TypeVar("Command", bound=Callable[..., Any])
Record = TypeVar("Record")


def take(record: type[Record], given: dict[str, Any], **others: Any) -> Record:
    """Make a `record` from the values in `given` that are its fields, and remove them there."""
    names = [field.name for field in fields(record) if field.name in given]  # type: ignore[arg-type]
    return record(**{name: given.pop(name) for name in names}, **others)


def parse_scales(text: str) -> tuple[int, ...]:
    """Lengths of the shorter side in `480,576`; of `one`, none: the model's one scale.

    Raises MisuseError for anything else.
    """
    if text == "one":
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise MisuseError(f"--scales is written as 480,576,688, not '{text}'.") from None


def split_arguments(first: str | None, second: str | None) -> tuple[Path | None, str | None]:
    """Model and dataset out of up to two arguments: one alone may be either."""
    from frcnn_cli.engine.models.store import is_model

    if first is not None and second is None and not is_model(Path(first)):
        return None, first
    return None if first is None else Path(first), second


def check_data(data: DataOptions) -> None:
    """Raise for a missing dataset or file of proposals, before anything slow is imported."""
    if data.dataset is not None:
        from frcnn_cli.engine.datasets.locate import locate

        locate(data.dataset, data.data_root)
    check_proposals_file(data.proposals)


def check_proposals_file(path: Path | None) -> None:
    """Raises InputError where the file is missing, or is not a file of proposals."""
    if path is not None:
        from frcnn_proposals.formats.content import kind_of

        kind_of(path)


_split = click.option("--split", help="Default: test where it has annotations, else val.")
_precision = click.option(
    "--precision",
    type=click.Choice(get_args(PrecisionChoice)),
    default="auto",
    show_default=True,
    help="Arithmetic of the network. auto: bfloat16 for `lite` models on a device that has "
    "instructions for it, otherwise float32.",
)
_tta = click.option(
    "--tta",
    "flip",
    type=click.Choice(["flip"]),
    callback=lambda _, __, value: value == "flip",
    help="flip: average scores and boxes with those of the mirrored image.",
)
_scales = click.option(
    "--scales",
    metavar="N,N,...",
    callback=lambda _, __, value: None if value is None else parse_scales(value),
    help="Read each box at the scale at which its area is nearest 224 x 224; the paper's five "
    "are 480,576,688,864,1200; `one` reads all at the model's one. Default: as it was trained.",
)
_no_box_regression = click.option(
    "--no-box-regression",
    "box_regression",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Leave each detection on its proposal, to see what box regression brings.",
)
_box_voting = click.option(
    "--box-voting",
    metavar="IOU",
    type=click.FloatRange(0, 1),
    help="Refine each detection by averaging all boxes of its class whose IoU with it is at least "
    "this; 0 turns it off, as in the paper. Default: as the model was set.",
)


def _all_of(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """One decorator for several options, listed in this order."""
    return lambda command: reduce(lambda done, option: option(done), reversed(decorators), command)


detection_options = _all_of(
    options.top_k, _precision, _tta, _scales, _no_box_regression, _box_voting
)
data_options = _all_of(
    _split, options.data_root, options.proposals, options.source, options.allow_mismatch
)
