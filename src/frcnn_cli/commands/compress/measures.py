"""What `frcnn compress` measures: seconds and mAP, before and after, and on which images."""

from __future__ import annotations

from collections.abc import Sequence

from frcnn_cli.commands.compress.options import Asked
from frcnn_cli.commands.compress.ranks import Bound
from frcnn_cli.commands.compress.tables import Measured
from frcnn_cli.commands.shared.console import Output
from frcnn_cli.engine.compression.accuracy import judge
from frcnn_cli.engine.compression.costs import Cost, measure_costs
from frcnn_cli.engine.compression.search import Search
from frcnn_cli.engine.evaluation.images import open_images, open_unseen_images
from frcnn_cli.engine.models.loaded import LoadedModel
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.proposals.for_dataset import DatasetProposals, warn_of_some
from frcnn_cli.engine.settings import Precision
from frcnn_cli.engine.settings.options import DataOptions

REPEATS = 5


def find_images(
    output: Output, loaded: LoadedModel, name: str | None, asked: Asked
) -> DatasetProposals | None:
    """The images to measure mAP on, where it is to be measured, with their proposals."""
    data = DataOptions(name, asked.split, asked.data_root, asked.proposals, asked.source)
    if asked.max_drop is not None:
        return open_unseen_images(loaded, data, reporter=output)
    if name is not None or asked.sweep is not None:
        return open_images(loaded, data, reporter=output)
    return None


def time_in_turn(output: Output, models: Sequence[FastRCNN], precision: Precision) -> list[Cost]:
    """What each model costs, timed before one's eyes."""
    with output.progress("Timing in turn", len(models) * (REPEATS + 1)) as advance:
        return measure_costs(models, precision, REPEATS, lambda: advance(1, ""))


def measure_maps(
    output: Output,
    loaded: LoadedModel,
    compressed: FastRCNN,
    stored: FastRCNN,
    found: DatasetProposals | None,
    search: Search | None,
) -> tuple[float, ...]:
    """mAP before, after and, where storing rounds the weights, after but for that; or nothing."""
    if found is None:
        return ()
    if search is not None:
        return search.before, search.chosen.map_11point
    models = [loaded.model, stored]
    if stored is not compressed:
        models.append(compressed)
    settings = loaded.experiment.detect
    with output.progress("Detecting, before and after", len(found.dataset)) as advance:
        judged = judge(
            models, found.dataset, found.proposals, settings, loaded.precision,
            lambda: advance(1, ""),
        )  # fmt: skip
    warn_of_some(output, judged.unreadable)
    return judged.map_11point


def warn_over_budget(output: Output, bound: Bound, before: Measured, after: Measured) -> None:
    """Say so where the last timing does not confirm the one that ranks were chosen by."""
    share = after.cost.times.seconds / before.cost.times.seconds
    if bound.budget is not None and share > bound.budget:
        output.warn(f"Timed again, it took {share:.2f} of the time: is the machine busy?")
