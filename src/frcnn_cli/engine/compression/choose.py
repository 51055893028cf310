"""Compress a model by a bound on its ranks, their energy, the time or the mAP.

`compress_within` chooses the ranks; `compress_model` also measures costs and mAP before and
after, and saves the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frcnn_cli.engine.compression.accuracy import measure_map
from frcnn_cli.engine.compression.bounds import Bound, BoundOptions
from frcnn_cli.engine.compression.costs import Cost, measure_costs, report_costs
from frcnn_cli.engine.compression.layers import Compression, decompose_layers, replace_layers
from frcnn_cli.engine.compression.ranks import (
    Choice,
    Decompositions,
    by_energy,
    by_rank,
    within_time,
)
from frcnn_cli.engine.compression.search import Search, ladder, lowest_within
from frcnn_cli.engine.detection.stage_times import StageTimes
from frcnn_cli.engine.evaluation.images import open_images, open_unseen_images
from frcnn_cli.engine.models.loaded import LoadedModel
from frcnn_cli.engine.models.seen_images import seen_images
from frcnn_cli.engine.models.store import as_stored, is_half, save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.proposals.for_dataset import DatasetProposals
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings.options import DataOptions
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.wording import counted


@dataclass(frozen=True)
class Measurement:
    """Costs of a model, the size of its file in bytes, and its mAP (0..1) if it was measured.

    map_in_float32: mAP before the weights are rounded to bfloat16, if they are.
    """

    cost: Cost
    bytes: int
    map_11point: float | None = None
    map_in_float32: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The measurements as JSON values."""
        values = {**self.cost.to_json(), "bytes": self.bytes}
        maps = {"map_11point": self.map_11point, "map_11point_float32": self.map_in_float32}
        return values | {name: value for name, value in maps.items() if value is not None}


@dataclass(frozen=True)
class CompressedModel:
    """A compressed model and its file, measured before and after compression.

    source: the file of the original model. half: whether weights are stored in bfloat16.
    dataset: the dataset that mAP was measured on. search: the tried ranks, for a bound on mAP.
    trained_on: the number of images of `dataset` that the model was trained on, if it is known.
    """

    source: Path
    path: Path
    bound: Bound
    half: bool
    compression: Compression
    before: Measurement
    after: Measurement
    dataset: Dataset | None = None
    search: Search | None = None
    trained_on: int | None = None


def open_images_for(
    loaded: LoadedModel, way: BoundOptions, data: DataOptions, reporter: Reporter = SILENT
) -> DatasetProposals | None:
    """The images to measure mAP on; None to measure costs alone.

    A bound on mAP requires images that the model was not trained on. Other bounds need none, unless
    `data` names a dataset.
    """
    if way.max_drop is not None:
        return open_unseen_images(loaded, data, reporter)
    if data.dataset is not None or way.sweep is not None:
        return open_images(loaded, data, reporter=reporter)
    return None


def compress_model(
    loaded: LoadedModel,
    bound: Bound,
    path: Path,
    images: DatasetProposals | None = None,
    half: bool = False,
    reporter: Reporter = SILENT,
) -> CompressedModel:
    """Compress a model by `bound`, measure it before and after, and write it to `path`.

    images: images to measure mAP on; None measures only costs. half: store weights in bfloat16; a
    model that is stored in bfloat16 stays so. Raises MisuseError if no ranks keep the bound or
    no layer would get smaller.
    """
    in_half = half or is_half(loaded.path)
    compression, search = compress_within(loaded, bound, images, in_half, reporter)
    for name, reason in compression.unchanged.items():
        reporter.warn(f"{name} is not compressed: {reason}.")
    if not compression.layers and not half:
        raise MisuseError("No layer would get smaller, so no model is written.")
    stored = as_stored(compression.model, in_half)
    models = (loaded.model, stored)
    costs = report_costs(models, loaded.precision, reporter)
    maps = _measure_maps(loaded, compression.model, stored, images, search, reporter)
    before = Measurement(costs[0], loaded.path.stat().st_size, *maps[:1])
    layers = {layer.name: layer.to_json() for layer in compression.layers}
    origin = {**loaded.origin, "compressed_from": loaded.name, "compression": layers}
    save_model(compression.model, path, origin, half=in_half)
    after = Measurement(costs[1], path.stat().st_size, *maps[1:])
    share = after.cost.times.seconds / before.cost.times.seconds
    if bound.budget is not None and share > bound.budget and after.cost.has_usable_times:
        reporter.warn(
            f"In the final timing, the model took {share:.2f} of the original time, more than "
            f"the budget of {bound.budget:g}."
        )
    dataset = None if images is None else images.dataset
    seen = None
    if images is not None:
        seen = seen_images(loaded, images.dataset, images.digests, reporter=reporter)
    return CompressedModel(
        loaded.path, path, bound, in_half, compression, before, after, dataset, search, seen
    )


def compress_within(
    loaded: LoadedModel,
    bound: Bound,
    images: DatasetProposals | None = None,
    half: bool = False,
    reporter: Reporter = SILENT,
) -> tuple[Compression, Search | None]:
    """Compress the model by `bound`; for a bound on mAP, also return the tried ranks.

    images: images to measure mAP on, needed only for a bound on mAP; they should not be training
    images. half: time and mAP must keep the bound with weights in bfloat16. Raises MisuseError if
    no ranks keep the bound.
    """
    model = loaded.model
    if bound.is_none:
        return replace_layers(model, {}, Choice({})), None
    if bound.max_drop is not None and images is None:
        raise MisuseError("A bound on the mAP needs images to measure it on.")
    layers = decompose_layers(model, reporter)
    if bound.max_drop is None or images is None:
        choice = _choose_ranks(loaded, layers, bound, half, reporter)
        return replace_layers(model, layers, choice), None
    search = _search_by_map(loaded, layers, bound.max_drop, images, half, reporter)
    return replace_layers(model, layers, search.chosen.rung.choice), search


def _choose_ranks(
    loaded: LoadedModel, layers: Decompositions, bound: Bound, half: bool, reporter: Reporter
) -> Choice:
    """Choose ranks by any bound except mAP."""
    if bound.svd_rank is not None:
        return by_rank(layers, bound.svd_rank)
    if bound.energy is not None:
        return by_energy(layers, bound.energy)
    assert bound.budget is not None
    model = loaded.model
    with reporter.progress("Timing choices of ranks", None) as advance:

        def measure(choice: Choice) -> tuple[StageTimes, StageTimes]:
            candidate = as_stored(replace_layers(model, layers, choice).model, half)
            pair = (model, candidate)
            before, after = measure_costs(pair, loaded.precision, on_run=lambda: advance(1, ""))
            return before.times, after.times

        return within_time(layers, bound.budget, measure)


def _search_by_map(
    loaded: LoadedModel,
    layers: Decompositions,
    max_drop: float,
    images: DatasetProposals,
    half: bool,
    reporter: Reporter,
) -> Search:
    """Find the smallest head that loses at most max_drop mAP points on `images`."""
    model, settings = loaded.model, loaded.experiment.detect

    def measure(choices: Sequence[Choice]) -> Sequence[float]:
        candidates = [
            as_stored(replace_layers(model, layers, choice).model, half) if choice.ranks else model
            for choice in choices
        ]
        description = f"Detecting with {counted(len(candidates), 'choice')} of ranks"
        return measure_map(candidates, images, settings, loaded.precision, description, reporter)

    return lowest_within(ladder(layers), max_drop, measure)


def _measure_maps(
    loaded: LoadedModel,
    compressed: FastRCNN,
    stored: FastRCNN,
    images: DatasetProposals | None,
    search: Search | None,
    reporter: Reporter,
) -> tuple[float, ...]:
    """mAP before and after and, if weights are rounded, after without rounding; () if no images."""
    if images is None:
        return ()
    if search is not None:
        return search.before, search.chosen.map_11point
    models = [loaded.model, stored]
    if stored is not compressed:
        models.append(compressed)
    settings, description = loaded.experiment.detect, "Detecting, before and after"
    return measure_map(models, images, settings, loaded.precision, description, reporter)
