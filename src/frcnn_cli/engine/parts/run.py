"""Write the missing parts of a folder: in this process, by those of torchrun, or by Ray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.parts.folder import Part, PartFolder
from frcnn_cli.engine.parts.rows import Notice, Row, RowFunction
from frcnn_cli.engine.reporter import SILENT, Advance, Reporter

_MESSAGES = 20  # of failed images, that are kept


@dataclass(frozen=True)
class PartsResult:
    """The result of a run, without the images that earlier runs have finished.

    written, reused: number of parts. images: number of images in the written parts; failed: how
    many of them have an error. messages: of the first ones.
    notices: their numbers, in all images.
    """

    path: Path
    written: int = 0
    reused: int = 0
    images: int = 0
    failed: int = 0
    messages: tuple[str, ...] = ()
    notices: Mapping[Notice, int] = field(default_factory=dict)

    def with_others(self, results: Sequence[PartsResult]) -> PartsResult:
        """The results of all processes as one. results: of each of them, by rank."""
        messages = tuple(message for each in results for message in each.messages)
        return PartsResult(
            self.path,
            sum(each.written for each in results),
            sum(each.reused for each in results),
            sum(each.images for each in results),
            sum(each.failed for each in results),
            messages[:_MESSAGES],
            _sum(each.notices for each in results),
        )

    def with_part(
        self, images: int, errors: Iterable[str], notices: Mapping[Notice, int]
    ) -> PartsResult:
        """The result after one more part."""
        new = tuple(errors)
        return replace(
            self,
            written=self.written + 1,
            images=self.images + images,
            failed=self.failed + len(new),
            messages=(*self.messages, *new)[:_MESSAGES],
            notices=_sum([self.notices, notices]),
        )


def errors_of(rows: Iterable[Row]) -> list[str]:
    """The messages of the images that failed."""
    return [row.error for row in rows if row.error is not None]


def notices_of(rows: Iterable[Row]) -> Mapping[Notice, int]:
    """The notices of all rows, with their numbers."""
    return _sum(row.notices for row in rows)


def _sum(notices: Iterable[Mapping[Notice, int]]) -> Mapping[Notice, int]:
    total: Counter[Notice] = Counter()
    for each in notices:
        total.update(each)
    return dict(total)


@contextmanager
def missing_parts(
    folder: PartFolder, parts: Sequence[Part], description: str, reporter: Reporter
) -> Iterator[tuple[list[Part], Advance]]:
    """Those of `parts` that are not finished, and a function that counts finished images.

    Reports how to resume after Ctrl-C. At the end, removes what killed processes left of `parts`.
    """
    missing = [part for part in parts if not folder.is_finished(part)]
    total, left = (sum(len(part.items) for part in some) for some in (parts, missing))
    with reporter.progress(description, total, total - left) as advance:
        try:
            yield missing, advance
        except KeyboardInterrupt:
            reporter.note("Finished parts are saved: run the same command to resume.")
            raise
    folder.remove_unfinished(parts)


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
    with missing_parts(folder, share, description, reporter) as (missing, advance):
        items = chain.from_iterable(part.items for part in missing)
        rows = function.rows(items)
        result = PartsResult(folder.path, reused=len(share) - len(missing))
        for part in missing:
            of_part = []
            for row in islice(rows, len(part.items)):
                of_part.append(row)
                advance(1, row.image_id)
            folder.write(part, of_part)
            result = result.with_part(len(of_part), errors_of(of_part), notices_of(of_part))
    return result.with_others(team.gather(result))
