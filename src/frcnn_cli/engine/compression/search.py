"""Search for the smallest head whose mAP stays within a bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from frcnn_cli.engine.compression.ranks import Choice, Decompositions, within_cost
from frcnn_proposals.errors import MisuseError

STEP = 0.9  # cost of the fully connected layers of each rung, relative to the rung before
RUNGS = 36
_WAYS = 6  # so that 36 rungs take two passes over the images

# mAPs (0..1) of several choices, in one pass over the images.
MeasureMaps = Callable[[Sequence[Choice]], Sequence[float]]


@dataclass(frozen=True)
class Rung:
    """One choice of ranks. cost: upper bound of its share of the original multiply-adds."""

    choice: Choice
    cost: float


@dataclass(frozen=True)
class Trial:
    """A measured rung and its mAP (0..1)."""

    rung: Rung
    map_11point: float


@dataclass(frozen=True)
class Search:
    """Result of a search.

    chosen: the lowest rung found within the bound. before: mAP of the uncompressed model. trials:
    every measured rung, highest first.
    """

    chosen: Trial
    before: float
    trials: tuple[Trial, ...]


def ladder(layers: Decompositions) -> tuple[Rung, ...]:
    """Choices of ranks from the uncompressed model down; each keeps the most energy at its cost."""
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
    """Find the lowest rung that loses at most `most` mAP points against the uncompressed model.

    The first rung must be the uncompressed model. mAP does not always fall with the rank, so an
    untried lower rung could also keep the bound. The returned rung was measured. Raises
    MisuseError if every tried rung loses more.
    """
    passing, failing = 0, len(rungs)
    values: dict[int, float] = {}
    while failing - passing > 1 or not values:
        width = failing - passing
        probes = {passing + max(1, width * way // _WAYS) for way in range(1, _WAYS)}
        if not values:
            probes.add(0)
        new = sorted(probe for probe in probes if probe < failing)
        values |= zip(new, measure([rungs[probe].choice for probe in new]), strict=True)
        lost = {probe: 100 * (values[0] - values[probe]) for probe in new}
        passing = max((probe for probe in new if lost[probe] <= most), default=passing)
        failing = min((probe for probe in new if probe > passing), default=failing)
    trials = tuple(Trial(rungs[probe], values[probe]) for probe in sorted(values))
    if passing == 0:
        least = min((100 * (values[0] - t.map_11point) for t in trials[1:]), default=0.0)
        raise MisuseError(
            f"Every compression that was tried loses more than {most:g} mAP points; the smallest "
            f"drop was {least:.2f} points.\nUse a larger --max-drop."
        )
    return Search(Trial(rungs[passing], values[passing]), values[0], trials)
