"""How commands get the proposals of a data set: given, or computed before one's eyes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from frcnn_cli.commands.shared.console import Output
from frcnn_cli.engine.proposals.for_dataset import (
    DatasetProposals,
    computed_proposals,
    given_proposals,
)
from frcnn_cli.engine.proposals.run import ProposeProgress
from frcnn_cli.engine.records import Dataset
from frcnn_proposals.sources.registry import DEFAULT_SOURCE, make_source


def proposals_for(
    output: Output,
    dataset: Dataset,
    file: Path | None,
    source: str | None,
    *,
    data_root: Path | None = None,
    allow_mismatch: bool = False,
    workers: int | None = None,
) -> DatasetProposals:
    """Proposals for every image, from `file` or by `source`; says what had to be left out.

    source: None takes the usual one.
    """
    source = source or DEFAULT_SOURCE
    if file is not None:
        found = given_proposals(dataset, file, data_root, allow_mismatch)
    else:
        with output.progress(f"Proposals ({source})", len(dataset)) as advance:
            done = 0

            def report(progress: ProposeProgress) -> None:
                nonlocal done
                advance(progress.done - done, "")
                done = progress.done

            found = computed_proposals(dataset, make_source(source), workers, report)
    output.detail(f"Proposals: {found.path}")
    warn_of_some(output, found.left_out)
    return found


def warn_of_some(output: Output, left_out: Sequence[str], shown: int = 5) -> None:
    """Name the first images that had to be left out, and count the others."""
    for message in left_out[:shown]:
        output.warn(f"left out: {message}")
    if len(left_out) > shown:
        output.warn(f"and {len(left_out) - shown} more images are left out.")
