"""Choose the rank of each layer: by rank, energy, cost or time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.compression.bounds import check_energy
from frcnn_cli.engine.compression.svd import Decomposition
from frcnn_cli.engine.detection.stage_times import StageTimes
from frcnn_cli.engine.network.layers.low_rank import LowRankLinear
from frcnn_proposals.errors import MisuseError

Decompositions = Mapping[str, Decomposition]


@dataclass(frozen=True)
class Choice:
    """ranks: layer -> rank, of the layers to replace. left_alone: the others, with the reason."""

    ranks: dict[str, int]
    left_alone: dict[str, str] = field(default_factory=dict)


def by_rank(layers: Decompositions, ranks: int | Mapping[str, int]) -> Choice:
    """The given ranks: one for all, where a layer that it would not make smaller is left
    alone; or one a layer, where that raises MisuseError with the rank that would pay."""
    if isinstance(ranks, int):
        too_high = {name: _reason(d) for name, d in layers.items() if ranks > d.largest_rank}
        return Choice({name: ranks for name in layers if name not in too_high}, too_high)
    for name, rank in ranks.items():
        if rank > layers[name].largest_rank:
            raise MisuseError(
                f"{name} cannot be compressed to rank {rank}: {_reason(layers[name])}."
            )
    return Choice(dict(ranks))


def by_energy(layers: Decompositions, share: float) -> Choice:
    """In each layer the smallest rank that keeps `share` (0..1] of its squared singular values.

    A layer that this would not make smaller is left alone. Raises MisuseError for a share
    outside 0..1.
    """
    check_energy(share)
    ranks, left_alone = {}, {}
    for name, layer in layers.items():
        # A hair less, so that rounding does not ask for a singular value of nothing.
        rank = int(np.searchsorted(layer.energy_kept, share * (1 - 1e-12))) + 1
        if rank > layer.largest_rank:
            needed = f"keeping {share:.4g} of its energy takes rank {rank}"
            left_alone[name] = f"{needed}; {_reason(layer)}"
        else:
            ranks[name] = rank
    return Choice(ranks, left_alone)


def within_cost(
    layers: Decompositions, most: float, prices: Mapping[str, float] | None = None
) -> Choice | None:
    """The ranks that keep most energy where the layers together cost at most `most`.

    Energy kept: the product of the layers' shares. A layer costs its multiply-adds for one RoI
    times its price (1 unless said; seconds a multiply-add make `most` seconds), whether it is
    replaced or left alone. None where even rank 1 costs more.
    """
    (first, first_layer), (second, second_layer) = layers.items()
    price = prices or dict.fromkeys(layers, 1.0)
    a = _options(first_layer, price[first])
    b = _options(second_layer, price[second])
    # Both lists rise in cost and in energy: for each rank of the first layer, the best of the
    # second is the last that is affordable.
    affordable = np.searchsorted(b.costs, most - a.costs, side="right") - 1
    kept = np.where(affordable >= 0, a.energy_kept * b.energy_kept[affordable], -1.0)
    best = int(np.argmax(kept))
    if kept[best] < 0:
        return None
    chosen = {first: int(a.ranks[best]), second: int(b.ranks[affordable[best]])}
    unchanged = {name: "it fits as it is" for name, rank in chosen.items() if rank == 0}
    return Choice({name: rank for name, rank in chosen.items() if rank > 0}, unchanged)


@dataclass(frozen=True)
class _Options:
    """A layer's ranks that save something, then 0 for the layer as it is; by rising cost."""

    ranks: NDArray[np.int64]
    costs: NDArray[np.float64]
    energy_kept: NDArray[np.float64]


def _options(layer: Decomposition, price: float) -> _Options:
    ranks = np.arange(1, layer.largest_rank + 1)
    costs = np.append(ranks * (layer.inputs + layer.outputs), layer.multiply_adds)
    kept = np.append(layer.energy_kept[: len(ranks)], 1.0)
    return _Options(np.append(ranks, 0), costs * float(price), kept)


def _reason(layer: Decomposition) -> str:
    """Why a rank is too high for the layer."""
    if isinstance(layer.layer, LowRankLinear):
        what = f"it is of rank {layer.rank} already, and"
    else:
        what = f"{layer.outputs} x {layer.inputs}"
    return f"{what} gets smaller only up to rank {layer.largest_rank}"


TOLERANCE = 0.02  # how far under the budget is near enough
_TRIES = 5

# Times of the model as it is and with the chosen ranks, in turn.
Measure = Callable[[Choice], tuple[StageTimes, StageTimes]]


def within_time(layers: Decompositions, budget: float, measure: Measure) -> Choice:
    """The ranks that keep most energy where an image takes at most `budget` (0..1) of its time.

    Time is first taken to fall with the multiply-adds of fc6 and fc7; what it really falls to
    is measured, and the ranks are chosen again, until the time is just under the budget.
    Raises MisuseError where the other stages alone take longer.
    """
    before, _ = measure(Choice({}))
    prices = {name: before.stages[name] / layer.multiply_adds for name, layer in layers.items()}
    allowance = budget * before.seconds - (before.seconds - before.fully_connected)
    within: dict[float, Choice] = {}
    tried: list[dict[str, int]] = []
    for _ in range(_TRIES):
        choice = within_cost(layers, allowance, prices)
        if choice is None or choice.ranks in tried:
            break
        tried.append(choice.ranks)
        then, now = measure(choice)
        share = now.seconds / then.seconds
        if share <= budget:
            within[share] = choice
        if budget - TOLERANCE <= share <= budget:
            break
        allowance += (budget - TOLERANCE / 2 - share) * before.seconds
    if not within:
        rest = 1 - before.fully_connected / before.seconds
        raise MisuseError(
            f"No ranks bring an image to {budget:g} of its time: all but fc6 and fc7 takes "
            f"{rest:.2f} of it. Allow more than that."
        )
    return within[max(within)]
