"""Compute proposals into a store, and read them from any proposal file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frcnn_cli.api.arguments import public, source_for
from frcnn_cli.api.progress import OnProgress, reporter_for
from frcnn_proposals.base import Proposals, Source
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.formats.layout import Corners, Order
from frcnn_proposals.images import MAX_PIXELS
from frcnn_proposals.sources.registry import DEFAULT_SOURCE

if TYPE_CHECKING:
    from frcnn_cli.engine.proposals.run import ProposeResult


@public
def propose(
    images: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    source: str | Source = DEFAULT_SOURCE,
    parameters: Mapping[str, Any] | None = None,
    split: str | None = None,
    data_root: str | Path | None = None,
    shard: str | None = None,
    workers: int | None = None,
    max_pixels: int = MAX_PIXELS,
    progress: OnProgress | None = None,
) -> ProposeResult:
    """Compute the proposals of images into a store, as `frcnn propose`; return its path and counts.

    images: files, folders, globs, text files with one path per line, or datasets. out: the store;
    None names it after the first input, in the current folder. Images that the store already
    contains are not computed again, so that the same call resumes an interrupted one. source: a
    name that `frcnn propose --list-sources` shows, or a Source. parameters: of a named source, such
    as {"mode": "quality"}. split: of a dataset. shard: only part I/N of the images. workers: number
    of processes; None is one per core, 0 computes in this process. Raises Error if an input names
    no images. An image that fails is listed in `failures`; if all fail, no store is written, except
    for a shard.
    """
    from frcnn_cli.engine.distributed.shard import Shard
    from frcnn_cli.engine.distributed.team import team_from_environment
    from frcnn_cli.engine.proposals.propose import propose as propose_inputs

    inputs = [images] if isinstance(images, str | Path) else images
    if workers is not None and workers < 0:
        raise MisuseError(f"workers is {workers}; it must be at least 0.")
    return propose_inputs(
        [str(text) for text in inputs],
        source_for(source, parameters),
        None if out is None else Path(out),
        split=split,
        data_root=None if data_root is None else Path(data_root),
        shard=None if shard is None else Shard.parse(shard),
        workers=workers,
        max_pixels=max_pixels,
        team=team_from_environment(),
        reporter=reporter_for(progress),
    )


@public
def read_proposals(
    path: str | Path,
    format: str | None = None,
    *,
    order: Order | None = None,
    base: int | None = None,
    corners: Corners | None = None,
    image_ids: Sequence[str] | None = None,
) -> Mapping[str, Proposals]:
    """The boxes of a proposal file or a folder of them, by image id.

    format, order, base, corners: as --from, --order, --base and --corners of `frcnn proposals
    convert`, required if the file has several interpretations. image_ids: the images of the dataset
    in order, required by formats without ids. Raises Error, which names the file, if it cannot be
    read.
    """
    from frcnn_proposals.formats import read_proposals as read

    return read(path, format, order=order, base=base, corners=corners, image_ids=image_ids)
