"""What commands that detect share: how a model does it, and the journal of an unfinished run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, get_args

import click

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output
from frcnn_cli.commands.shared.model_and_data import LoadedModel
from frcnn_cli.engine.detection.journal import Journal
from frcnn_cli.engine.proposals.cache import cache_folder
from frcnn_cli.engine.proposals.for_dataset import DatasetProposals
from frcnn_cli.engine.settings import DetectSettings, PrecisionChoice
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.sources.registry import make_source
from frcnn_proposals.store.provenance import Provenance

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def detecting_options(function: Decorated) -> Decorated:
    """--precision, --tta, --scales, --no-box-regression and --box-voting"""
    for option in (_box_voting, _no_box_regression, _scales, _tta, _precision):
        function = option(function)
    return function


def judging_options(function: Decorated) -> Decorated:
    """What a detector is judged on, with which proposals, and how it detects."""
    for option in (
        detecting_options,
        options.top_k,
        options.allow_mismatch,
        options.source,
        options.proposals,
        options.data_root,
        _split,
    ):
        function = option(function)
    return function


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
    type=click.Choice(["flip"]),
    help="flip: average scores and boxes with those of the mirrored image.",
)
_scales = click.option(
    "--scales",
    metavar="N,N,...",
    help="Read each box at the scale at which its area is nearest 224 x 224; the paper's five "
    "are 480,576,688,864,1200; `one` reads all at the model's one. Default: as it was trained.",
)
_no_box_regression = click.option(
    "--no-box-regression",
    is_flag=True,
    help="Leave each detection on its proposal, to see what moving it brings.",
)


_box_voting = click.option(
    "--box-voting",
    metavar="IOU",
    type=click.FloatRange(0, 1),
    help="Place each detection by all boxes of its class that overlap it so far; 0 by its own "
    "alone, as the paper does. Default: as the model was set.",
)


class DetectionAsked(Protocol):
    """What a command line says of how to detect."""

    @property
    def top_k(self) -> int | None: ...

    @property
    def tta(self) -> str | None: ...

    @property
    def scales(self) -> str | None: ...

    @property
    def no_box_regression(self) -> bool: ...

    @property
    def box_voting(self) -> float | None: ...


def detect_settings(
    loaded: LoadedModel, asked: DetectionAsked, score_threshold: float | None = None
) -> DetectSettings:
    """How the model was set to detect, with what the command line says in its place.

    score_threshold: None keeps every detection, as evaluation needs.
    """
    stored = loaded.experiment.detect
    return replace(
        stored,
        score_threshold=score_threshold,
        top_k=asked.top_k or stored.top_k,
        flip=stored.flip or asked.tta == "flip",
        scales=stored.scales if asked.scales is None else parse_scales(asked.scales),
        box_regression=stored.box_regression and not asked.no_box_regression,
        box_voting=stored.box_voting if asked.box_voting is None else asked.box_voting,
    )


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


def identity(loaded: LoadedModel, settings: DetectSettings, proposals: str) -> dict[str, Any]:
    """What detections depend on beside the images. proposals: their fingerprint."""
    with open(loaded.path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "model": digest,
        "settings": {**asdict(settings), "precision": loaded.precision},
        "proposals": proposals,
    }


def dataset_journal(
    loaded: LoadedModel,
    found: DatasetProposals,
    settings: DetectSettings,
    source: str,
    file: Path | None,
    part: str = "",
) -> Journal:
    """A journal in the cache, named by what the detections on a data set depend on.

    file: of the proposals; None where `source` made them. part: of the images that this
    process has, where several share them.
    """
    if file is None:
        proposals = Provenance.of(make_source(source)).fingerprint
    else:
        state = file.stat()
        proposals = f"{file.resolve()} {state.st_size} {state.st_mtime_ns}"
    depends = identity(loaded, settings, proposals)
    name = re.sub(r"[^A-Za-z0-9.+-]+", "_", f"{found.dataset.name}-{found.dataset.split}")
    digest = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()
    return Journal(cache_folder() / "detections" / f"{name}-{digest[:12]}{part}.partial", depends)


@contextmanager
def unfinished(output: Output, journal: Journal | None) -> Iterator[None]:
    """Hold the journal while detecting; say what it knows, and on Ctrl-C that it is kept."""
    if journal is None:
        yield
        return
    with journal:
        if len(journal):
            output.note(f"Going on with {journal.path}: {len(journal)} images are done.")
        try:
            yield
        except KeyboardInterrupt:
            output.note("Interrupted. What is done is kept: the same command goes on with it.")
            raise
