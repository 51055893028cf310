"""`frcnn propose`: compute proposals for images and store them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.parts import parts_options, print_parts, shard, take_parts
from frcnn_cli.commands.shared.tables import make_table
from frcnn_cli.engine.datasets.inputs import find_images
from frcnn_cli.engine.distributed.connect import connected
from frcnn_cli.engine.distributed.shard import Shard
from frcnn_cli.engine.distributed.team import team_from_environment
from frcnn_cli.engine.parts.run import PartsOptions, run_in_parts
from frcnn_cli.engine.proposals.propose import propose as propose_inputs
from frcnn_cli.engine.proposals.run import ProposeResult
from frcnn_proposals.base import Source
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.formats.parts.about import About
from frcnn_proposals.sources.call import load_files
from frcnn_proposals.sources.registry import (
    DEFAULT_SOURCE,
    list_sources,
    make_source,
    parse_parameters,
)
from frcnn_proposals.wording import counted

# Warnings, unlike the lines of one error, can name many images.
_WARNINGS_SHOWN = 20


@dataclass(frozen=True)
class ProposeOptions:
    """The options of `frcnn propose`, without those of the source."""

    images: tuple[str, ...]
    out: Path | None
    split: str | None
    data_root: Path | None
    shard: Shard | None
    workers: int | None
    max_pixels: int
    allow_mismatch: bool
    replace: bool
    json_path: Path | None
    parts: PartsOptions

    def __post_init__(self) -> None:
        if self.parts.parts is None:
            return
        if self.out is not None or self.replace or self.json_path is not None:
            raise MisuseError("--parts cannot be combined with --out, --replace or --json.")
        if self.workers is not None and self.parts.engine == "local":
            raise MisuseError(
                "With --parts, --workers is the number of Ray workers: add --engine ray."
            )


@click.command()
@click.argument("images", nargs=-1)
@click.option(
    "--out",
    type=options.OutputFile,
    show_default="named after the first of IMAGES",
    help="Output store.",
)
@click.option(
    "--source",
    default=DEFAULT_SOURCE,
    show_default=True,
    help="Source of the proposals (see --list-sources).",
)
@click.option(
    "--mode",
    cls=options.LiteralDefault,
    show_default="fast",
    help="Mode of the selective search sources: fast or quality.",
)
@options.parameters
@options.workers
@options.max_pixels
@shard
@parts_options
@click.option("--split", help="Use only this split of a dataset.")
@options.data_root
@options.allow_mismatch
@click.option(
    "--replace",
    is_flag=True,
    help="Remove proposals of other images, or of another source, from an existing store.",
)
@click.option("--list-sources", is_flag=True, help="List all sources and exit.")
@options.json_file
@pass_output
def propose(
    output: Output,
    /,
    source: str,
    mode: str | None,
    parameters: tuple[str, ...],
    list_sources: bool,
    **given: Any,
) -> None:
    """Compute proposals for all IMAGES and write them to a store.

    IMAGES are image files, folders, globs, text files with one path per line, or datasets.
    Proposals that the store already contains are not computed again; after an interruption, run
    the same command to resume.

    \b
    frcnn propose images/
    frcnn propose voc2007 --mode quality --out voc2007-quality.proposals
    frcnn propose 'photos/**/*.jpg' --shard 2/8
    frcnn propose photos/ --parts boxes
    """
    if list_sources:
        _print_sources(output)
        return
    if not given["images"]:
        raise click.UsageError(
            "Name the images: files, folders, globs, lists of paths, or datasets."
        )
    team = team_from_environment()
    of_source = ({} if mode is None else {"mode": mode}) | parse_parameters(parameters)
    proposal_source = make_source(source, **of_source)
    started = time.perf_counter()
    chosen = ProposeOptions(parts=take_parts(given), **given)
    if chosen.parts.parts is not None:
        _propose_in_parts(output, chosen, proposal_source)
        return
    result = propose_inputs(
        chosen.images,
        proposal_source,
        chosen.out,
        split=chosen.split,
        data_root=chosen.data_root,
        shard=chosen.shard,
        workers=chosen.workers,
        max_pixels=chosen.max_pixels,
        allow_mismatch=chosen.allow_mismatch,
        replace=chosen.replace,
        team=team,
        reporter=output,
    )
    if not team.is_first:
        return
    _print_result(output, result)
    write_json(chosen.json_path, _as_json(proposal_source, result, time.perf_counter() - started))
    if result.failures:
        failed = counted(len(result.failures), "image has", "images have")
        raise InputError(f"{failed} no proposals.")


def _propose_in_parts(output: Output, chosen: ProposeOptions, source: Source) -> None:
    """Write the proposals to files of some images each, instead of a store."""
    from frcnn_cli.api.columns import Proposer

    files = find_images(
        chosen.images,
        chosen.data_root,
        chosen.split,
        chosen.allow_mismatch,
        output,
        chosen.shard,
    )
    proposer = Proposer(source, max_pixels=chosen.max_pixels)
    if chosen.parts.engine == "local":
        load_files(source)  # before anything is written
    about = About("proposals", proposer.identity)
    description = f"Proposing ({source.name})"
    team = team_from_environment()
    with connected(team):
        result = run_in_parts(
            chosen.parts,
            proposer,
            about,
            files,
            description,
            chosen.shard,
            chosen.workers,
            team=team,
            reporter=output,
        )
        if team.is_first:
            print_parts(output, result)


def _print_sources(output: Output) -> None:
    rows = (
        (info.name, info.origin, "\n".join(info.parameters), info.summary)
        for info in list_sources()
    )
    headings = ("source", "from", "parameters", "description")
    output.print(make_table(None, headings, rows, names=4))


def _print_result(output: Output, result: ProposeResult) -> None:
    total = result.computed + result.reused
    counts = f"{result.computed} computed, {result.reused} already stored"
    path = f"[bold]{escape(str(result.path))}[/]"
    if total or not result.failures:  # otherwise there are no proposals
        output.print_file(f"Proposals for {counted(total, 'image')} ({counts}): {path}")
    for _, reason in result.failures[:_WARNINGS_SHOWN]:
        output.warn(reason)
    more = len(result.failures) - _WARNINGS_SHOWN
    if more > 0:
        listed = f"; list them with `frcnn proposals inspect {result.path}`" if total else ""
        output.warn(f"and {more} more{listed}")


def _as_json(source: Source, result: ProposeResult, seconds: float) -> dict[str, Any]:
    return {
        "out": str(result.path),
        "source": source.name,
        "version": source.version,
        "parameters": dict(source.parameters),
        "computed": result.computed,
        "reused": result.reused,
        "clipped": result.clipped,
        "failures": [{"id": image_id, "reason": reason} for image_id, reason in result.failures],
        "seconds": round(seconds, 3),
    }
