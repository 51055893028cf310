"""Write the missing parts of a folder: in this process, by those of torchrun, or by Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from frcnn_cli.engine.datasets.image_sizes import note_sixteen_bit
from frcnn_cli.engine.distributed.shard import Shard
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.parts.folder import DEFAULT_SIZE, PartFolder, open_folder
from frcnn_cli.engine.parts.ray_cluster import write_parts_on_ray
from frcnn_cli.engine.parts.result import PartsResult, errors_of, notices_of, unfinished
from frcnn_cli.engine.parts.rows import Item, PicklableRowFunction, RowFunction
from frcnn_cli.engine.records import ImageFile
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.formats.parts.about import About
from frcnn_proposals.formats.parts.files import DEFAULT_FORMAT, PartFormat
from frcnn_proposals.wording import counted


@dataclass(frozen=True)
class PartsOptions:
    """Where to write parts, and by which engine. A format or size of None is the default."""

    parts: Path | None = None
    part_format: PartFormat | None = None
    part_size: int | None = None
    engine: Literal["local", "ray"] = "local"
    address: str | None = None

    @property
    def format(self) -> PartFormat:
        return self.part_format or DEFAULT_FORMAT

    @property
    def size(self) -> int:
        return self.part_size or DEFAULT_SIZE


def run_in_parts(
    options: PartsOptions,
    function: PicklableRowFunction,
    about: About,
    files: Sequence[ImageFile],
    description: str,
    shard: Shard | None = None,
    workers: int | None = None,
    gpus: int | None = 0,
    team: Team = ALONE,
    reporter: Reporter = SILENT,
) -> PartsResult:
    """Write the missing parts of the results of `files` (image id, path).

    shard: which share of all images these are. workers, gpus: see write_parts_on_ray. The processes
    of `team` have to be connected. Raises the errors of open_folder.
    """
    assert options.parts is not None
    if options.engine == "ray" and team.world > 1:
        raise MisuseError("--engine ray starts its own processes: do not use torchrun.")
    note_sixteen_bit((path for _, path in files if team.is_first), reporter)
    items = [Item(image_id, str(path)) for image_id, path in files]
    folder = open_folder(options.parts, about, items, options.format, shard, options.size)
    if options.engine == "ray":
        result = write_parts_on_ray(
            function, folder, description, options.address, workers, gpus, reporter
        )
    else:
        result = write_parts(function, folder, description, team, reporter)
    if team.is_first:
        for (one, more), count in result.notices.items():
            reporter.warn(counted(count, one, more))
    return result


def write_parts(
    function: RowFunction,
    folder: PartFolder,
    description: str,
    team: Team = ALONE,
    reporter: Reporter = SILENT,
) -> PartsResult:
    """Write the parts that are missing; each process of the team writes its share of them.

    Memory holds the rows of one part. An image that fails does not stop the others. Returns the
    result of all processes, in every process.
    """
    finished = team.of_first({part.name for part in folder.parts if folder.is_finished(part)})
    share = team.part(folder.parts, lambda part: part.name in finished)
    with unfinished(folder, share, description, reporter) as (missing, result, advance):
        items = chain.from_iterable(part.items for part in missing)
        rows = function.rows(items)
        for part in missing:
            of_part = []
            for row in islice(rows, len(part.items)):
                of_part.append(row)
                advance(1, row.image_id)
            folder.write(part, of_part)
            result = result.with_written(len(of_part), errors_of(of_part), notices_of(of_part))
    return result.with_others(team.gather(result))
