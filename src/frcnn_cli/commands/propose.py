"""`frcnn propose`: boxes for every image, into a store."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
import torch
from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.engine.distributed.connect import joined
from frcnn_cli.engine.distributed.team import team_from_environment
from frcnn_cli.engine.proposals.inputs import Shard, find_images
from frcnn_cli.engine.proposals.run import ProposeProgress, ProposeResult
from frcnn_cli.engine.proposals.team_run import propose_together
from frcnn_cli.engine.reporter import Needs
from frcnn_proposals.base import Source
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.sources.registry import DEFAULT_SOURCE, list_sources, make_source

# Of some 2,000 boxes with scores, as the store keeps them.
_BYTES_AN_IMAGE = 40_000
_FAILURES_SHOWN = 20


@click.command()
@click.argument("images", nargs=-1)
@click.option("--out", type=options.FilePath, help="The store. Default: named after IMAGES, here.")
@click.option("--source", default=DEFAULT_SOURCE, show_default=True, help="See --list-sources.")
@click.option("--mode", help="Of the selective searches: fast (their default) or quality.")
@click.option(
    "--param",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another parameter of the source; may be repeated.",
)
@options.workers
@options.max_pixels
@click.option("--shard", metavar="I/N", help="Only part I of N, for N machines or jobs.")
@click.option("--split", help="Of a data set, only this split.")
@options.data_root
@click.option("--list-sources", is_flag=True, help="Show every source, and stop.")
@options.json_file
@pass_output
def propose(
    output: Output,
    images: tuple[str, ...],
    out: Path | None,
    source: str,
    mode: str | None,
    parameters: tuple[str, ...],
    workers: int | None,
    max_pixels: int,
    shard: str | None,
    split: str | None,
    data_root: Path | None,
    list_sources: bool,
    json_path: Path | None,
) -> None:
    """Find boxes for every one of IMAGES, into a store.

    IMAGES are image files, folders, globs, text files with a path on each line, or data sets.
    Boxes that the store has already are not computed again: a run that was interrupted goes
    on where it stopped.

    \b
    frcnn propose images/
    frcnn propose voc2007 --mode quality --out voc2007-quality.proposals
    frcnn propose 'photos/**/*.jpg' --shard 2/8
    """
    if list_sources:
        _print_sources(output)
        return
    if not images:
        raise click.UsageError("Name the images: files, folders, globs, lists, or a data set.")
    team = team_from_environment()
    part = None if shard is None else Shard.parse(shard)
    made = make_source(source, **_parameters(mode, parameters))
    files = find_images(images, data_root, split)
    if part is not None:
        files = [(image_id, path) for image_id, path in files if part.holds(image_id)]
    out = out or _default_out(images[0], part)
    started = time.perf_counter()
    own = len(team.part(files))
    needs = Needs(_BYTES_AN_IMAGE * len(files), out)
    with output.progress(f"Proposing ({made.name})", own, needs=needs) as advance:
        shown = _Meter(advance)
        try:
            with joined(team, torch.device("cpu")):
                result = propose_together(team, files, made, out, workers, shown, max_pixels)
        except KeyboardInterrupt:
            output.note(f"Interrupted. What is done is kept: the same command goes on with {out}.")
            raise
    if not team.is_first:
        return
    _print_result(output, result)
    if json_path is not None:
        write_json(json_path, _as_json(made, result, time.perf_counter() - started))
    if result.failures:
        click.get_current_context().exit(1)


class _Meter:
    """Moves a progress bar, with the images a second that are being computed beside it."""

    def __init__(self, advance: Any) -> None:
        self._advance = advance
        self._done = 0
        self._started = time.perf_counter()

    def __call__(self, progress: ProposeProgress) -> None:
        beside = ""
        if progress.computed:
            rate = progress.computed / (time.perf_counter() - self._started)
            beside = f"{rate:.1f} images/s"
        else:  # what is known passes quickly and would spoil the rate
            self._started = time.perf_counter()
        self._advance(progress.done - self._done, beside)
        self._done = progress.done


def _parameters(mode: str | None, given: tuple[str, ...]) -> dict[str, Any]:
    parameters: dict[str, Any] = {} if mode is None else {"mode": mode}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator:
            raise MisuseError(f"--param is written NAME=VALUE; {text!r} is not")
        try:
            parameters[name] = json.loads(value)
        except (ValueError, RecursionError):
            parameters[name] = value
    return parameters


def _default_out(first: str, part: Shard | None) -> Path:
    name = Path(first).resolve().stem if Path(first).exists() else first
    name = "".join(letter if letter.isalnum() or letter in "._+-" else "_" for letter in name)
    suffix = "" if part is None else f"-{part.index}of{part.count}"
    return Path(f"{name.strip('._') or 'images'}{suffix}.proposals")


def _print_sources(output: Output) -> None:
    table = Table()
    table.add_column("source", no_wrap=True)
    for heading in ("from", "parameters", "what it does"):
        table.add_column(heading)
    for info in list_sources():
        parameters = "\n".join(info.parameters)
        table.add_row(*map(escape, (info.name, info.origin, parameters, info.summary)))
    output.print(table)


def _print_result(output: Output, result: ProposeResult) -> None:
    total = result.computed + result.reused
    line = f"Boxes for {total} images ({result.computed} computed, {result.reused} known before)"
    output.print(f"{line}: [bold]{escape(str(result.path))}[/]")
    for _, reason in result.failures[:_FAILURES_SHOWN]:
        output.warn(reason)
    more = len(result.failures) - _FAILURES_SHOWN
    if more > 0:
        output.warn(f"and {more} more; `frcnn proposals inspect {result.path}` lists them")
    if result.failures:
        output.warn(f"{len(result.failures)} images have no boxes.")


def _as_json(source: Source, result: ProposeResult, seconds: float) -> dict[str, Any]:
    return {
        "out": str(result.path),
        "source": source.name,
        "version": source.version,
        "parameters": dict(source.parameters),
        "computed": result.computed,
        "reused": result.reused,
        "failures": [{"id": image_id, "reason": reason} for image_id, reason in result.failures],
        "seconds": round(seconds, 3),
    }
