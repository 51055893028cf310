"""The result of a run on parts, and the parts that it has to write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Self

from frcnn_cli.engine.parts.folder import Part, PartFolder
from frcnn_cli.engine.reporter import Advance, Reporter
from frcnn_proposals.formats.parts.row import Notice, Row

_MESSAGES = 20  # of failed images; more are not kept


@dataclass(frozen=True)
class PartsResult:
    """The result of a run.

    written, reused: number of parts. images: number of images in the written parts. failed: number
    of images with an error, in all parts. messages: their first error messages. notices: the number
    of each notice in the written parts.
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

    def with_written(
        self, images: int, errors: Sequence[str], notices: Mapping[Notice, int]
    ) -> Self:
        """The result after this run has written one more part."""
        return replace(
            self._with_errors(errors),
            written=self.written + 1,
            images=self.images + images,
            notices=_sum([self.notices, notices]),
        )

    def with_reused(self, errors: Sequence[str]) -> Self:
        """The result with one more part of an earlier run. errors: of its images."""
        return replace(self._with_errors(errors), reused=self.reused + 1)

    def _with_errors(self, errors: Sequence[str]) -> Self:
        messages = (*self.messages, *errors)[:_MESSAGES]
        return replace(self, failed=self.failed + len(errors), messages=messages)


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


class Unfinished(NamedTuple):
    """The missing parts, the result of the finished ones, and the progress callback."""

    parts: list[Part]
    result: PartsResult
    advance: Advance


@contextmanager
def unfinished(
    folder: PartFolder, parts: Sequence[Part], description: str, reporter: Reporter
) -> Iterator[Unfinished]:
    """The `parts` that are not finished; the block writes them.

    Reports how to resume after Ctrl-C. At the end, removes what killed processes left of `parts`.
    Raises InputError if a finished part cannot be read.
    """
    result, missing = PartsResult(folder.path), []
    for part in parts:
        if folder.is_finished(part):
            result = result.with_reused(folder.errors_in(part))
        else:
            missing.append(part)
    total, left = (sum(len(part.items) for part in some) for some in (parts, missing))
    with reporter.progress(description, total, total - left) as advance:
        try:
            yield Unfinished(missing, result, advance)
        except KeyboardInterrupt:
            reporter.note("Finished parts are saved: run the same command to resume.")
            raise
    folder.remove_unfinished(parts)
