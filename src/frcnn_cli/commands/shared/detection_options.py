"""Options of commands that detect: the images, the proposals and the detection settings."""

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
from frcnn_proposals.errors import InputError, MisuseError

Command = TypeVar("Command", bound=Callable[..., Any])
Record = TypeVar("Record")

_DATASET_FILES = (".json", ".yaml", ".yml")
_OTHER_MODEL_FILES = (".pt", ".pth", ".pt2", ".pkl", ".ckpt", ".bin", ".onnx", ".caffemodel")


def take(record: type[Record], given: dict[str, Any], **others: Any) -> Record:
    """Create a `record` from the values in `given` that are its fields; they are removed there."""
    names = [field.name for field in fields(record) if field.name in given]  # type: ignore[arg-type]
    return record(**{name: given.pop(name) for name in names}, **others)


def parse_scales(text: str) -> tuple[int, ...]:
    """Parse lengths of the shorter side, such as `480,576`. `one`, the model's scale, returns ().

    Raises MisuseError for anything else.
    """
    if text == "one":
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise MisuseError(f"--scales is '{text}'; expected numbers such as 480,576,688.") from None


def split_arguments(
    first: str | None, second: str | None, runs_root: Path, data_root: Path | None
) -> tuple[Path | None, str | None]:
    """Return model and dataset from up to two arguments; a single argument may be either.

    Raises MisuseError for a single argument that names both a run and a dataset, or almost a run.
    """
    if first is not None and second is None and not _is_meant_as_model(first, runs_root, data_root):
        return None, first
    return None if first is None else Path(first), second


def _is_meant_as_model(text: str, runs_root: Path, data_root: Path | None) -> bool:
    """Whether a single argument is a model: in the order of `meanings`.

    Other files, and other paths in the folder of the runs, count as models if they are not
    datasets, so that the error message is about them, not about the newest run.
    """
    from frcnn_cli.engine.datasets.locate import KNOWN_NAMES, known_name, locate
    from frcnn_cli.engine.models.shipped.table import listed_model
    from frcnn_cli.engine.models.store import closest_model, find_run, is_model

    path, suffix = Path(text), Path(text).suffix.lower()
    is_other_file = path.is_file() and suffix not in _DATASET_FILES
    if is_model(path) or is_other_file or suffix in _OTHER_MODEL_FILES:
        return True
    is_run = find_run(path, runs_root) != path
    listed = listed_model(text)
    is_name = is_run or listed is not None
    if _is_dataset(text, data_root):
        if not path.exists() and (is_run or (listed is not None and listed.is_shipped)):
            kind = "run" if is_run else "shipped model"
            run = f"Write {runs_root / path} for the run, or give" if is_run else "Give"
            raise MisuseError(
                f"{text} is the name of a {kind} and of a dataset.\n"
                f"{run} both a model and a dataset."
            )
        return False
    if is_name or runs_root.resolve() in path.resolve().parents:
        return True
    if not path.exists() and (near := closest_model(text, runs_root, KNOWN_NAMES)):
        raise MisuseError(
            f"{text}: there is no model, run or dataset of this name. Did you mean {near}?"
            "\n`frcnn runs` lists the runs, `frcnn model list` the models, `frcnn data list` the "
            "datasets."
        )
    if not path.exists() and "+" not in text and known_name(text) not in KNOWN_NAMES:
        try:
            locate(text, data_root)
        except MisuseError as error:
            raise MisuseError(
                f"{text}: there is no model and no run of this name.\n{error}"
            ) from None
    return False


def _is_dataset(text: str, data_root: Path | None) -> bool:
    from frcnn_cli.engine.datasets.locate import locate

    try:
        return bool(locate(text, data_root))
    except InputError:
        return False


def check_data(data: DataOptions) -> None:
    """Raise for a missing dataset or proposal file, before slow imports."""
    if data.dataset is not None:
        from frcnn_cli.engine.datasets.locate import locate

        locate(data.dataset, data.data_root)
    check_proposals_file(data.proposals)


def check_proposals_file(path: Path | None) -> None:
    """Raise InputError if the file is missing or is not a proposal file."""
    if path is not None:
        from frcnn_proposals.formats.content import kind_of

        kind_of(path)


_split = click.option(
    "--split",
    help="Split of the dataset.",
    show_default="test if annotated, otherwise val",
)
precision = click.option(
    "--precision",
    type=click.Choice(get_args(PrecisionChoice)),
    default="auto",
    show_default=True,
    help="Precision of the network. auto: bfloat16 for `lite` models if the device has "
    "bfloat16 instructions, otherwise float32.",
)
_tta = click.option(
    "--tta",
    "flip",
    type=click.Choice(["flip"]),
    callback=lambda _, __, value: value == "flip",
    help="Test-time augmentation. flip: average scores and boxes over the image and its mirror "
    "image.",
)
scales = click.option(
    "--scales",
    metavar="N,N,...",
    callback=lambda _, __, value: None if value is None else parse_scales(value),
    help="Lengths of the shorter image side. Each proposal is processed at the scale at which its "
    "area is closest to 224 x 224 pixels. The paper's five scales are 480,576,688,864,1200. `one`: "
    "the model's single scale.",
    show_default="the model's setting",
)
nms_iou = click.option(
    "--nms-iou",
    metavar="IOU",
    type=click.FloatRange(0, 1),
    show_default="the model's setting: 0.35 for lite, 0.4 for WSDDN, 0.3 for OICR and others",
    help="Suppress a box if its IoU with a higher-scoring box of the same class is higher "
    "than this.",
)
_no_box_regression = click.option(
    "--no-box-regression",
    "box_regression",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Do not apply box regression: each detection keeps the box of its proposal.",
)
max_proposals = options.count(
    "--max-proposals",
    "max_proposals",
    help="Number of best proposals that the heads process, for a model trained with --variant "
    "ranked. For a model trained with --variant cascade alone, the second head processes as many.",
    show_default="the model's setting, usually 300",
)
_box_voting = click.option(
    "--box-voting",
    metavar="IOU",
    type=click.FloatRange(0, 1),
    help="Refine each detection by averaging all boxes of its class whose IoU with it is at least "
    "this; 0 turns it off, as in the paper.",
    show_default="the model's setting",
)


def all_of(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Combine several options into one decorator; help lists them in this order."""
    return lambda command: reduce(
        lambda decorated, option: option(decorated), reversed(decorators), command
    )


detection_options = all_of(
    options.top_k,
    max_proposals,
    nms_iou,
    precision,
    _tta,
    scales,
    _no_box_regression,
    _box_voting,
)
box_options = all_of(options.top_k, max_proposals, nms_iou, _no_box_regression, _box_voting)
data_options = all_of(
    _split,
    options.data_root,
    options.proposals,
    options.source,
    options.parameters,
    options.allow_mismatch,
)
