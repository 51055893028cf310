"""How `frcnn compress` chooses ranks: by rank, energy, time or mAP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from frcnn_cli.commands.shared.console import Output
from frcnn_cli.engine.compression.accuracy import judge
from frcnn_cli.engine.compression.costs import measure_costs
from frcnn_cli.engine.compression.layers import Compression, decompose_layers, replace_layers
from frcnn_cli.engine.compression.ranks import (
    LAYERS,
    Choice,
    Decompositions,
    by_energy,
    by_rank,
    parse_budget,
    parse_ranks,
    within_time,
)
from frcnn_cli.engine.compression.search import Search, ladder, lowest_within
from frcnn_cli.engine.compression.svd import Decomposition
from frcnn_cli.engine.detection.stage_times import StageTimes
from frcnn_cli.engine.models.loaded import LoadedModel
from frcnn_cli.engine.models.store import as_stored
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.proposals.for_dataset import DatasetProposals
from frcnn_proposals.errors import MisuseError


@dataclass(frozen=True)
class Bound:
    """What ranks are chosen by; one of these, or none where only --half is wanted."""

    svd_rank: int | dict[str, int] | None = None
    energy: float | None = None
    budget: float | None = None
    max_drop: float | None = None

    @property
    def is_none(self) -> bool:
        return not self.to_json()

    def to_json(self) -> dict[str, Any]:
        """The one that is given, by its name."""
        return {name: value for name, value in vars(self).items() if value is not None}


def parse_bound(
    svd_rank: str | None, energy: float | None, budget: str | None, max_drop: float | None
) -> Bound:
    """The bound as the options say it. Raises MisuseError for a value out of range."""
    if energy is not None and not 0 < energy <= 1:
        raise MisuseError(f"--energy is a share over 0, at most 1, not {energy:g}.")
    if max_drop is not None and not 0 <= max_drop <= 100:
        raise MisuseError(f"--max-drop is mAP points, 0 to 100, not {max_drop:g}.")
    return Bound(
        None if svd_rank is None else parse_ranks(svd_rank),
        energy,
        None if budget is None else parse_budget(budget),
        max_drop,
    )


def compress_within(
    output: Output, loaded: LoadedModel, bound: Bound, found: DatasetProposals | None, half: bool
) -> tuple[Compression, Search | None]:
    """The compressed model; by mAP, also what was tried."""
    model = loaded.model
    if bound.is_none:
        return replace_layers(model, {}, Choice({})), None
    layers = decompose(output, model)
    if bound.max_drop is None:
        choice = choose_ranks(output, loaded, layers, bound, half)
        return replace_layers(model, layers, choice), None
    assert found is not None
    search = search_by_map(output, loaded, layers, bound.max_drop, found, half)
    return replace_layers(model, layers, search.chosen.rung.choice), search


def decompose(output: Output, model: FastRCNN) -> dict[str, Decomposition]:
    """The SVD of the model's fully connected layers, before one's eyes."""
    with output.progress("Decomposing", len(LAYERS)) as advance:
        return decompose_layers(model, lambda name: advance(1, name))


def choose_ranks(
    output: Output, loaded: LoadedModel, layers: Decompositions, bound: Bound, half: bool
) -> Choice:
    """Ranks by any bound but mAP."""
    if bound.svd_rank is not None:
        return by_rank(layers, bound.svd_rank)
    if bound.energy is not None:
        return by_energy(layers, bound.energy)
    assert bound.budget is not None
    model = loaded.model
    with output.progress("Timing choices of ranks", None) as advance:

        def measure(choice: Choice) -> tuple[StageTimes, StageTimes]:
            candidate = as_stored(replace_layers(model, layers, choice).model, half)
            pair = (model, candidate)
            before, after = measure_costs(pair, loaded.precision, on_run=lambda: advance(1, ""))
            return before.times, after.times

        return within_time(layers, bound.budget, measure)


def search_by_map(
    output: Output,
    loaded: LoadedModel,
    layers: Decompositions,
    max_drop: float,
    found: DatasetProposals,
    half: bool,
) -> Search:
    """The smallest head that loses at most max_drop mAP points on the images of `found`."""

    model, settings = loaded.model, loaded.experiment.detect

    def judge_choices(choices: Sequence[Choice]) -> Sequence[float]:
        candidates = [
            as_stored(replace_layers(model, layers, choice).model, half) if choice.ranks else model
            for choice in choices
        ]
        title = f"Detecting with {len(candidates)} choices of ranks"
        with output.progress(title, len(found.dataset)) as advance:
            judged = judge(
                candidates, found.dataset, found.proposals, settings, loaded.precision,
                lambda: advance(1, ""),
            )  # fmt: skip
        return judged.map_11point

    return lowest_within(ladder(layers), max_drop, judge_choices)
