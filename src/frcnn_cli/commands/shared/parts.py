"""Options and output of commands that write their results in parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output
from frcnn_cli.commands.shared.detection_options import all_of
from frcnn_cli.engine.datasets.image_sizes import note_sixteen_bit
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.parts.files import DEFAULT_FORMAT, PART_FORMATS, PartFormat
from frcnn_cli.engine.parts.folder import DEFAULT_SIZE, About, open_folder
from frcnn_cli.engine.parts.ray_cluster import check_ray, write_parts_on_ray
from frcnn_cli.engine.parts.rows import Item, PicklableRowFunction
from frcnn_cli.engine.parts.run import PartsResult, write_parts
from frcnn_cli.engine.parts.shard import Shard
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.wording import counted

if TYPE_CHECKING:
    from frcnn_cli.engine.proposals.run import ImageFile

_SHOWN = 3  # messages of failed images


@dataclass(frozen=True)
class PartsOptions:
    """Where to write parts, and by which engine. A format or size of None is the default."""

    parts: Path | None = None
    part_format: PartFormat | None = None
    part_size: int | None = None
    engine: Literal["local", "ray"] = "local"
    address: str | None = None

    def __post_init__(self) -> None:
        if self.parts is None and not (self.part_format is None and self.part_size is None):
            raise MisuseError("--format and --part-size are those of parts: add --parts FOLDER.")
        if self.address is not None and self.engine != "ray":
            raise MisuseError("--address is that of a Ray cluster: add --engine ray.")
        if self.engine == "ray":
            if self.parts is None:
                raise MisuseError("--engine ray writes the results in parts: add --parts FOLDER.")
            check_ray()

    @property
    def format(self) -> PartFormat:
        return self.part_format or DEFAULT_FORMAT

    @property
    def size(self) -> int:
        return self.part_size or DEFAULT_SIZE


def run_in_parts(
    output: Output,
    chosen: PartsOptions,
    function: PicklableRowFunction,
    about: About,
    files: list[ImageFile],
    description: str,
    shard: Shard | None = None,
    workers: int | None = None,
    gpus: int | None = 0,
    team: Team = ALONE,
) -> None:
    """Write the missing parts, and print what was written. gpus: of each worker of Ray.

    The processes of `team` have to be connected. Raises InputError with the first messages if
    images failed, in the first process.
    """
    assert chosen.parts is not None
    if chosen.engine == "ray" and team.world > 1:
        raise MisuseError("--engine ray starts its own processes: do not use torchrun.")
    note_sixteen_bit((path for _, path in files if team.is_first), output)
    items = [Item(image_id, str(path)) for image_id, path in files]
    folder = open_folder(chosen.parts, about, items, chosen.format, shard, chosen.size)
    if chosen.engine == "ray":
        result = write_parts_on_ray(
            function, folder, description, chosen.address, workers, gpus, output
        )
    else:
        result = write_parts(function, folder, description, team, output)
    if team.is_first:
        for (one, more), count in result.notices.items():
            output.warn(counted(count, one, more))
        print_parts(output, result)


def print_parts(output: Output, result: PartsResult) -> None:
    """Print the counts. Raises InputError with the first messages if images failed."""
    images, parts = counted(result.images, "image"), counted(result.written, "part")
    output.print(
        f"Results of {images} in {parts} ({result.reused} already written): "
        f"[bold]{escape(str(result.path))}[/]"
    )
    if result.failed:
        more = [f"{counted(result.failed, 'image')} failed in total."] * (result.failed > _SHOWN)
        raise InputError("\n".join([*result.messages[: _SHOWN - len(more)], *more]))


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
