"""Choose the rank of each layer: by rank, energy, cost or time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.compression.bounds import check_energy
from frcnn_cli.engine.compression.svd import Decomposition
from frcnn_cli.engine.detection.stage_times import StageTimes
from frcnn_cli.engine.network.layers.low_rank import LowRankLinear
from frcnn_cli.engine.settings.network import SECOND
from frcnn_proposals.errors import MisuseError

Decompositions = Mapping[str, Decomposition]


@dataclass(frozen=True)
class Choice:
    """ranks: layer -> rank of the layers to replace. unchanged: other layer -> reason."""

    ranks: dict[str, int]
    unchanged: dict[str, str] = field(default_factory=dict)


def by_rank(layers: Decompositions, ranks: int | Mapping[str, int]) -> Choice:
    """The given ranks: one for all layers, or one per layer.

    One rank for all is not applied to a layer that it would not make smaller. The rank of fc6 or
    fc7 is also that of the second head's layer, unless it has its own. Raises MisuseError if a rank
    given for a layer would not make it smaller, with the largest rank that would, and for a layer
    that the model does not have.
    """
    if isinstance(ranks, int):
        too_high = {name: _reason(d) for name, d in layers.items() if ranks > d.largest_rank}
        return Choice({name: ranks for name in layers if name not in too_high}, too_high)
    if missing := sorted(set(ranks) - set(layers)):
        raise MisuseError(f"{missing[0]}: the model has no such layer. It has {', '.join(layers)}.")
    ranks = {name: ranks.get(name, ranks.get(name.removeprefix(SECOND), 0)) for name in layers}
    ranks = {name: rank for name, rank in ranks.items() if rank}
    for name, rank in ranks.items():
        if rank > layers[name].largest_rank:
            raise MisuseError(
                f"{name} cannot be compressed to rank {rank}: {_reason(layers[name])}."
            )
    return Choice(dict(ranks))


def by_energy(layers: Decompositions, share: float) -> Choice:
    """Per layer, the smallest rank that keeps `share` (0, 1] of its squared singular values.

    A layer that would not get smaller stays unchanged. Raises MisuseError if the share is out of
    range.
    """
    check_energy(share)
    ranks, unchanged = {}, {}
    for name, layer in layers.items():
        # Slightly less, so that rounding does not add a singular value of zero.
        rank = int(np.searchsorted(layer.energy_kept, share * (1 - 1e-12))) + 1
        if rank > layer.largest_rank:
            needed = f"keeping {share:.4g} of its energy needs rank {rank}"
            unchanged[name] = f"{needed}; {_reason(layer)}"
        else:
            ranks[name] = rank
    return Choice(ranks, unchanged)


def within_cost(
    layers: Decompositions, most: float, prices: Mapping[str, float] | None = None
) -> Choice | None:
    """The ranks that keep the most energy while all layers together cost at most `most`.

    A second head's layers have the ranks of the first's. The energy kept is the product of the
    shares of all layers. The cost of a layer, replaced or unchanged, is its multiply-adds per RoI
    times its price (default 1; with prices in seconds per multiply-add, `most` is in seconds).
    Returns None if even rank 1 costs more.
    """
    price = prices or dict.fromkeys(layers, 1.0)
    groups: dict[str, list[str]] = {}
    for name in layers:
        groups.setdefault(name.removeprefix(SECOND), []).append(name)
    first, second = groups.values()
    a, b = (
        _options([layers[n] for n in names], [price[n] for n in names]) for names in (first, second)
    )
    # Cost and energy rise with the rank: for each rank of the first layer, the best affordable
    # rank of the second layer is the last.
    affordable = np.searchsorted(b.costs, most - a.costs, side="right") - 1
    kept = np.where(affordable >= 0, a.energy_kept * b.energy_kept[affordable], -1.0)
    best = int(np.argmax(kept))
    if kept[best] < 0:
        return None
    chosen = dict.fromkeys(first, int(a.ranks[best]))
    chosen |= dict.fromkeys(second, int(b.ranks[affordable[best]]))
    unchanged = {name: "the bound is met without it" for name, rank in chosen.items() if rank == 0}
    return Choice({name: rank for name, rank in chosen.items() if rank > 0}, unchanged)


@dataclass(frozen=True)
class _Options:
    """The ranks that make layers smaller, then 0 for unchanged layers, by rising cost."""

    ranks: NDArray[np.int64]
    costs: NDArray[np.float64]
    energy_kept: NDArray[np.float64]


def _options(layers: Sequence[Decomposition], prices: Sequence[float]) -> _Options:
    """The options of layers that have the same rank; the energy kept is the product of theirs."""
    ranks = np.arange(1, min(layer.largest_rank for layer in layers) + 1)
    costs, kept = np.zeros(len(ranks) + 1), np.ones(len(ranks) + 1)
    for layer, price in zip(layers, prices, strict=True):
        numbers = np.append(ranks * (layer.inputs + layer.outputs), layer.multiply_adds)
        costs += numbers * float(price)
        kept *= np.append(layer.energy_kept[: len(ranks)], 1.0)
    return _Options(np.append(ranks, 0), costs, kept)


def _reason(layer: Decomposition) -> str:
    """Why a rank is too high for a layer."""
    if isinstance(layer.layer, LowRankLinear):
        size = f"a layer that already has rank {layer.rank}"
    else:
        size = f"a layer of {layer.outputs} x {layer.inputs}"
    return f"{size} gets smaller only up to rank {layer.largest_rank}"


TOLERANCE = 0.02  # a share this far below the budget is close enough
_TRIES = 5

# Times of the uncompressed model and with the chosen ranks, interleaved.
Measure = Callable[[Choice], tuple[StageTimes, StageTimes]]


def within_time(layers: Decompositions, budget: float, measure: Measure) -> Choice:
    """The ranks that keep the most energy within a share `budget` (0..1) of the original time.

    The first ranks assume that time is proportional to the multiply-adds of fc6 and fc7. Then the
    time is measured and the ranks are chosen again, until it is just under the budget. Raises
    MisuseError if the other stages alone take longer.
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
        original, compressed = measure(choice)
        share = compressed.seconds / original.seconds
        if share <= budget:
            within[share] = choice
        if budget - TOLERANCE <= share <= budget:
            break
        allowance += (budget - TOLERANCE / 2 - share) * before.seconds
    if not within:
        rest = 1 - before.fully_connected / before.seconds
        raise MisuseError(
            f"No ranks reach {budget:g} of the original time: the stages other than fc6 and fc7 "
            f"take {rest:.2f} of it.\nUse a --budget above {rest:.2f}."
        )
    return within[max(within)]
