"""Compression of a model by truncated SVD."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frcnn_cli.api.arguments import public
from frcnn_cli.api.evaluation import check_output, data_options
from frcnn_cli.api.progress import OnProgress, reporter_for
from frcnn_cli.engine.compression.bounds import BoundOptions
from frcnn_cli.engine.models.store import find_model
from frcnn_cli.engine.settings import PrecisionChoice
from frcnn_proposals.files import reject_same_file

if TYPE_CHECKING:
    from frcnn_cli.engine.compression.choose import CompressedModel


@public
def compress(
    model: str | Path | None = None,
    dataset: str | Path | None = None,
    *,
    svd_rank: int | str | Mapping[str, int] | None = None,
    energy: float | None = None,
    budget: float | str | None = None,
    max_drop: float | None = None,
    half: bool = False,
    out: str | Path | None = None,
    split: str | None = None,
    data_root: str | Path | None = None,
    proposals: str | Path | None = None,
    source: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    precision: PrecisionChoice = "auto",
    runs_root: str | Path = "runs",
    device: str = "auto",
    progress: OnProgress | None = None,
) -> CompressedModel:
    """Compress fc6 and fc7 of a model, as `frcnn compress`; return the file and its costs.

    Give one bound, or `half` alone. svd_rank: one rank, or one per layer as
    {"fc6": 1024, "fc7": 256}. energy: smallest ranks that keep this share of the squared singular
    values. budget: best ranks that take this share of the time. max_drop: smallest layers that lose
    at most this many mAP points, on a split that the model was not trained on. half: store weights
    in bfloat16. dataset: to measure mAP before and after. parameters: of `source`. precision: of
    the measurements. out: by default next to the model, or in the current folder
    for a shipped model, named by the bound. Raises Error if no
    ranks meet the bound.
    """
    reporter = reporter_for(progress)
    way = BoundOptions(_rank_text(svd_rank), energy, _budget_text(budget), max_drop, half, None)
    bound = way.bound()
    path = find_model(None if model is None else Path(model), Path(runs_root))
    target = way.file_beside(path) if out is None else Path(out)
    reject_same_file(path, target)
    data = data_options(dataset, split, data_root, proposals, source, parameters)
    check_output(target, path, data, runs_root)
    from frcnn_cli.engine.compression.choose import compress_model, open_images_for
    from frcnn_cli.engine.distributed.devices import find_device
    from frcnn_cli.engine.models.loaded import open_model

    loaded = open_model(path, Path(runs_root), find_device(device), precision, reporter)
    images = open_images_for(loaded, way, data, reporter)
    return compress_model(loaded, bound, target, images, half, reporter)


def _rank_text(rank: int | str | Mapping[str, int] | None) -> str | None:
    if isinstance(rank, Mapping):
        return ",".join(f"{name}={value}" for name, value in rank.items())
    return None if rank is None else str(rank)


def _budget_text(budget: float | str | None) -> str | None:
    return f"{budget:g}x" if isinstance(budget, float | int) else budget
