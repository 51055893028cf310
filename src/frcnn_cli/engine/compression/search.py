"""The smallest head whose mAP stays within a bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from frcnn_cli.engine.compression.ranks import Choice, Decompositions, within_cost
from frcnn_proposals.errors import MisuseError

STEP = 0.9  # each rung's fully connected layers cost a tenth less than those of the rung before
RUNGS = 36
_WAYS = 6  # so that 36 rungs take two passes over the images

# mAPs (0..1) of several choices, in one pass over the images.
MeasureMaps = Callable[[Sequence[Choice]], Sequence[float]]


@dataclass(frozen=True)
class Rung:
    """One choice of ranks. cost: its share of the layers' multiply-adds now, at most."""

    choice: Choice
    cost: float


@dataclass(frozen=True)
class Trial:
    """A rung that was measured: its mAP, 0..1."""

    rung: Rung
    map_11point: float


@dataclass(frozen=True)
class Search:
    """chosen: the lowest rung found within the bound. before: mAP of the model as it is.
    trials: every rung that was measured, highest first."""

    chosen: Trial
    before: float
    trials: tuple[Trial, ...]


def ladder(layers: Decompositions) -> tuple[Rung, ...]:
    """Choices of ranks from the model as it is down: each keeps most energy at its cost."""
    whole = sum(layer.multiply_adds for layer in layers.values())
    rungs: list[Rung] = []
    for number in range(RUNGS):
        cost = STEP**number
        choice = within_cost(layers, cost * whole)
        if choice is None:
            break
        if not rungs or choice.ranks != rungs[-1].choice.ranks:
            rungs.append(Rung(choice, cost))
    return tuple(rungs)


def lowest_within(rungs: Sequence[Rung], most: float, measure: MeasureMaps) -> Search:
    """The lowest rung found that loses at most `most` mAP points on the first, uncompressed one.

    mAP does not always fall with the rank, so an untried lower rung could also keep the bound.
    The returned rung was measured.
    Raises MisuseError where every rung tried loses more.
    """
    holds, fails = 0, len(rungs)
    values: dict[int, float] = {}
    while fails - holds > 1 or not values:
        width = fails - holds
        probes = {holds + max(1, width * way // _WAYS) for way in range(1, _WAYS)}
        if not values:
            probes.add(0)
        new = sorted(probe for probe in probes if probe < fails)
        values |= zip(new, measure([rungs[probe].choice for probe in new]), strict=True)
        lost = {probe: 100 * (values[0] - values[probe]) for probe in new}
        holds = max((probe for probe in new if lost[probe] <= most), default=holds)
        fails = min((probe for probe in new if probe > holds), default=fails)
    trials = tuple(Trial(rungs[probe], values[probe]) for probe in sorted(values))
    if holds == 0:
        least = min((100 * (values[0] - t.map_11point) for t in trials[1:]), default=0.0)
        raise MisuseError(
            f"No compression tried stays within {most:g} mAP points: "
            f"the least lost was {least:.2f}."
        )
    return Search(Trial(rungs[holds], values[holds]), values[0], trials)
