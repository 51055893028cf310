"""mAP and time against rank."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from frcnn_proposals.errors import MisuseError


@dataclass(frozen=True)
class SweepPoint:
    """One rank for all layers (None: the model as it is) and what it costs and reaches.

    ranks: of the layers that it made smaller. energy: share kept in each of them. parameters
    and multiply_adds (of one image) are of the whole model; seconds are those of one image.
    """

    rank: int | None
    ranks: dict[str, int]
    energy: dict[str, float]
    parameters: int
    multiply_adds: int
    seconds_an_image: float
    map_11point: float


def parse_sweep_ranks(text: str) -> tuple[int, ...]:
    """The ranks in `64,128,256`, rising, each once. Raises MisuseError for anything else."""
    try:
        ranks = tuple(sorted({int(value) for value in text.split(",")}))
    except ValueError:
        ranks = ()
    if not ranks or ranks[0] < 1:
        raise MisuseError(f"--sweep is written as 64,128,256,512, not '{text}'.")
    return ranks


def sweep_plot(points: Sequence[SweepPoint], title: str) -> bytes:
    """A PNG of two panels: mAP and seconds an image against rank; dashed, without compression."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    (whole,) = (point for point in points if point.rank is None)
    swept = [point for point in points if point.rank is not None]
    ranks = [point.rank for point in swept]
    panels = {
        "mAP, 11-point": ([100 * p.map_11point for p in swept], 100 * whole.map_11point),
        "seconds an image": ([p.seconds_an_image for p in swept], whole.seconds_an_image),
    }
    for axes, (name, (values, before)) in zip(
        figure.subplots(1, len(panels)), panels.items(), strict=True
    ):
        axes.plot(ranks, values, marker="o", label="compressed")
        axes.axhline(before, linestyle="--", color="grey", label="as it was")
        axes.set(xscale="log", xlabel="rank of fc6 and fc7", ylabel=name)
        axes.set_ylim(0, 1.1 * max(before, *values, 1e-9))
        axes.set_xticks(ranks, [str(rank) for rank in ranks])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
    figure.suptitle(title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
