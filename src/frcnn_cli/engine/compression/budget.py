"""The ranks that keep most energy within a share of the time that an image takes now."""

from __future__ import annotations

from collections.abc import Callable

from frcnn_cli.engine.compression.ranks import Choice, Decompositions, within_cost
from frcnn_cli.engine.timing.stage_times import StageTimes
from frcnn_proposals.errors import MisuseError

TOLERANCE = 0.02  # how far under the budget is near enough
_TRIES = 5

# Times of the model as it is and with the chosen ranks, in turn.
Measure = Callable[[Choice], tuple[StageTimes, StageTimes]]


def parse_budget(text: str) -> float:
    """`0.7x` (or `0.7`) as 0.7. Raises MisuseError for anything but a share between 0 and 1."""
    try:
        budget = float(text.strip().removesuffix("x"))
    except ValueError:
        budget = 0.0
    if not 0 < budget < 1:
        raise MisuseError(f"'{text}' is no budget. Give a share of the time now, as 0.7x.")
    return budget


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
