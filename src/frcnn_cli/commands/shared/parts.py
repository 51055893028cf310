"""Options and output of commands that write their results in parts."""

from __future__ import annotations

from typing import Any

import click
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, raise_failures
from frcnn_cli.commands.shared.detection_options import all_of, take
from frcnn_cli.engine.distributed.shard import Shard
from frcnn_cli.engine.parts.folder import DEFAULT_SIZE
from frcnn_cli.engine.parts.ray_cluster import check_ray
from frcnn_cli.engine.parts.result import PartsResult
from frcnn_cli.engine.parts.run import PartsOptions
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.formats.parts.files import DEFAULT_FORMAT, PART_FORMATS
from frcnn_proposals.wording import counted


def take_parts(given: dict[str, Any]) -> PartsOptions:
    """Create the PartsOptions from the values in `given`, which are removed there.

    Raises MisuseError for options that have no effect or do not fit together, or without Ray.
    """
    chosen = take(PartsOptions, given)
    if chosen.parts is None and not (chosen.part_format is None and chosen.part_size is None):
        raise MisuseError("--format and --part-size apply to parts: add --parts FOLDER.")
    if chosen.address is not None and chosen.engine != "ray":
        raise MisuseError("--address is the address of a Ray cluster: add --engine ray.")
    if chosen.engine == "ray":
        if chosen.parts is None:
            raise MisuseError("--engine ray writes the results in parts: add --parts FOLDER.")
        check_ray()
    return chosen


def print_parts(output: Output, result: PartsResult) -> None:
    """Print the counts. Raises InputError with the first messages if images failed."""
    images, parts = counted(result.images, "image"), counted(result.written, "part")
    output.print_file(
        f"Results of {images} in {parts} ({result.reused} already written): "
        f"[bold]{escape(str(result.path))}[/]"
    )
    raise_failures(result.messages, result.failed)


parts_folder = click.option(
    "--parts",
    type=options.OutputFolder,
    help="Write the results into this folder, in files of --part-size images. The "
    "same command resumes an interrupted run.",
)
part_format = click.option(
    "--format",
    "part_format",
    type=click.Choice(PART_FORMATS),
    show_default=DEFAULT_FORMAT,
    help="Format of the parts: JSON lines, or Parquet, which needs pyarrow.",
)
part_size = options.count(
    "--part-size", show_default=str(DEFAULT_SIZE), help="Number of images per part."
)
shard = click.option(
    "--shard",
    metavar="I/N",
    callback=lambda _, __, value: None if value is None else Shard.parse(value),
    help="Process only shard I of N of the images, for example on N machines.",
)
_engine = click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="What runs the work for --parts: this process, or workers of a Ray cluster.",
)
_address = click.option(
    "--address",
    show_default="a cluster on this machine, for this command",
    help="Address of a running Ray cluster.",
)
parts_files = all_of(parts_folder, part_format, part_size)
parts_options = all_of(parts_files, _engine, _address)
