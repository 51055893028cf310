"""Measure and plot mAP and time against rank."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frcnn_cli.engine.compression.accuracy import measure_map
from frcnn_cli.engine.compression.costs import report_costs
from frcnn_cli.engine.compression.layers import decompose_layers, replace_layers
from frcnn_cli.engine.compression.ranks import Choice, by_rank
from frcnn_cli.engine.models.loaded import LoadedModel
from frcnn_cli.engine.models.seen_images import seen_images
from frcnn_cli.engine.models.store import as_stored, is_half
from frcnn_cli.engine.proposals.for_dataset import DatasetProposals
from frcnn_cli.engine.records import Dataset, short_name
from frcnn_cli.engine.reporter import SILENT, Reporter

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class RankMeasurement:
    """Cost and mAP (0..1) at one rank for all layers; rank None is the uncompressed model.

    ranks: of the layers that got smaller. energy: share kept in each of them. parameters and
    multiply_adds (per image): of the whole model.
    """

    rank: int | None
    ranks: dict[str, int]
    energy: dict[str, float]
    parameters: int
    multiply_adds: int
    seconds_an_image: float
    map_11point: float
    has_usable_times: bool = True

    @property
    def usable_seconds(self) -> float:
        """The seconds per image; NaN, which is not drawn, if they are unusable."""
        return self.seconds_an_image if self.has_usable_times else math.nan


@dataclass(frozen=True)
class RankSweep:
    """Measurements without compression and at rising ranks.

    half: whether the weights of the compressed models are in bfloat16. trained_on: the number of
    images of `dataset` that the model was trained on, if it is known.
    """

    dataset: Dataset
    half: bool
    points: tuple[RankMeasurement, ...]
    trained_on: int | None = None

    @property
    def title(self) -> str:
        """The dataset and split that mAP was measured on."""
        return f"{short_name(self.dataset.name)}, {self.dataset.split}"


def sweep_ranks(
    loaded: LoadedModel,
    ranks: Sequence[int],
    images: DatasetProposals,
    half: bool = False,
    reporter: Reporter = SILENT,
) -> RankSweep:
    """Measure a model without compression and at each of these ranks; no model is written.

    half: round the weights of the compressed models to bfloat16, as in a stored model.
    """
    model, half = loaded.model, half or is_half(loaded.path)
    layers = decompose_layers(model, reporter)
    compressions = {None: replace_layers(model, layers, Choice({}))} | {
        rank: replace_layers(model, layers, by_rank(layers, rank)) for rank in ranks
    }
    models = [
        as_stored(compression.model, half and rank is not None)
        for rank, compression in compressions.items()
    ]
    costs = report_costs(models, loaded.precision, reporter)
    settings, description = loaded.experiment.detect, "Detecting at all ranks"
    maps = measure_map(models, images, settings, loaded.precision, description, reporter)
    for rank, compression in compressions.items():
        for name, reason in compression.unchanged.items():
            reporter.warn(f"At rank {rank}, {name} is not compressed: {reason}.")
    points = tuple(
        RankMeasurement(
            rank,
            {layer.name: layer.rank for layer in compression.layers},
            {layer.name: layer.energy for layer in compression.layers},
            cost.parameters,
            cost.multiply_adds,
            cost.times.seconds,
            map_11point,
            cost.has_usable_times,
        )
        for (rank, compression), cost, map_11point in zip(
            compressions.items(), costs, maps, strict=True
        )
    )
    seen = seen_images(loaded, images.dataset, images.digests, reporter=reporter)
    return RankSweep(images.dataset, half, points, seen)


def sweep_plot(sweep: RankSweep, file_format: str = "png") -> bytes:
    """A file with two plots, mAP and seconds per image against rank; dashed: uncompressed.

    Unusable times are missing; mAP is not affected.
    """
    from frcnn_cli.engine.drawing.figures import (
        FIRST,
        MUTED,
        WIDTH,
        counts_on_x,
        figure_file,
        new_figure,
        style,
    )

    (uncompressed,) = (point for point in sweep.points if point.rank is None)
    swept = [point for point in sweep.points if point.rank is not None]
    ranks = [point.rank for point in swept if point.rank is not None]
    panels = {
        "mAP (11-point), %": ([100 * p.map_11point for p in swept], 100 * uncompressed.map_11point),
        "seconds per image": ([p.usable_seconds for p in swept], uncompressed.usable_seconds),
    }
    with style():
        figure = new_figure(3.2, width=2 * WIDTH)
        average, time = figure.subplots(1, len(panels), sharex=True)
        for axes, (name, (values, before)) in zip((average, time), panels.items(), strict=True):
            axes.plot(ranks, values, "o-", color=FIRST, label="compressed")
            axes.axhline(before, linestyle="--", color=MUTED, label="uncompressed")
            axes.set(ylabel=name)
            counts_on_x(axes, "rank of fc6 and fc7", ranks)
        # mAP has no natural origin: differences of a few points are what the plot is for.
        _widen(average, at_least=1.0)
        time.set_ylim(0, 1.1 * max(time.get_ylim()[1], 1e-9))
        if not any(point.has_usable_times for point in sweep.points):
            time.set_yticks([])
            time.text(0.5, 0.5, "no usable times", ha="center", transform=time.transAxes)
        average.legend(loc="best")
        figure.suptitle(f"mAP and time against rank: {sweep.title}")
        return figure_file(figure, file_format)


def _widen(axes: Axes, at_least: float) -> None:
    """Extend the y axis to a span of `at_least` around its data."""
    low, high = axes.get_ylim()
    missing = max(0.0, at_least - (high - low)) / 2
    axes.set_ylim(max(0.0, low - missing), high + missing)
