"""Cost of a model: parameters, multiply-adds and seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.detection.stage_times import (
    StageTimes,
    sample_image,
    sample_proposals,
    time_stages,
)
from frcnn_cli.engine.network.layer_costs import layer_costs
from frcnn_cli.engine.network.model import FastRCNN, parameter_count
from frcnn_cli.engine.network.transforms import image_tensor
from frcnn_cli.engine.reporter import Reporter
from frcnn_cli.engine.settings import Precision

ROIS = 2000
REPEATS = 5  # timed runs of each model, and again while the times differ by more than TOLERANCE
ATTEMPTS = 4
TOLERANCE = 0.05  # of the time of the convolutions, which compression does not change


@dataclass(frozen=True)
class Cost:
    """Costs of one model, for one noise image (500 x 375) with 2,000 proposals.

    multiply_adds: of all convolutions and fully connected layers, over all RoIs. unchanged: time
    of the convolutions over that of the first model, which has the same ones; it is 1 but for
    disturbances.
    """

    parameters: int
    multiply_adds: int
    times: StageTimes
    unchanged: float = 1.0

    @property
    def has_usable_times(self) -> bool:
        """Whether the time of the convolutions is within TOLERANCE of the first model's."""
        return abs(self.unchanged - 1) <= TOLERANCE

    def to_json(self) -> dict[str, Any]:
        """As JSON values: parameters, multiply_adds, unchanged, seconds_an_image, stages."""
        values = asdict(self)
        times = values.pop("times")
        return values | {"seconds_an_image": times["seconds"], "stages": times["stages"]}


def measure_costs(
    models: Sequence[FastRCNN],
    precision: Precision,
    repeats: int = REPEATS,
    on_run: Callable[[], None] = lambda: None,
) -> list[Cost]:
    """Measure the cost of models with equal convolutions; runs alternate between the models.

    Times are medians of `repeats` runs, or of up to ATTEMPTS times as many, until the times of the
    convolutions are within TOLERANCE. Models are first prepared for detection, and each runs once
    untimed. on_run is called after each run.
    """
    prepared = [prepare_model(model, precision) for model in models]
    image = sample_image()
    costs = []
    times = time_stages(
        prepared, image, sample_proposals(ROIS), repeats, on_run,
        is_enough=lambda medians: max(abs(u - 1) for u in _unchanged(medians)) <= TOLERANCE,
        attempts=ATTEMPTS,
    )  # fmt: skip
    for model, time, unchanged in zip(models, times, _unchanged(times), strict=True):
        pixels, _ = image_tensor(image, model.architecture.preprocessing)
        height, width = pixels.shape[1:]
        multiply_adds = layer_costs(model.architecture, (height, width)).multiply_adds(ROIS)
        costs.append(Cost(parameter_count(model), multiply_adds, time, unchanged))
    return costs


def report_costs(
    models: Sequence[FastRCNN], precision: Precision, reporter: Reporter, repeats: int = REPEATS
) -> list[Cost]:
    """Measure the costs with a progress report, and warn if the machine was too busy."""
    left = len(models) * (ATTEMPTS * repeats + 1)

    with reporter.progress("Timing", left) as advance:

        def on_run() -> None:
            nonlocal left
            left -= 1
            advance(1, "")

        costs = measure_costs(models, precision, repeats, on_run)
        advance(left, "")  # the runs that were not necessary
    _warn_of_unusable_times(costs, reporter)
    return costs


def _warn_of_unusable_times(costs: Sequence[Cost], reporter: Reporter) -> None:
    worst = max((cost.unchanged for cost in costs), key=lambda unchanged: abs(unchanged - 1))
    if not all(cost.has_usable_times for cost in costs):
        reporter.warn(
            f"The times cannot be used: the convolutions, which do not change, took {worst:.2f} of "
            "their time before compression.\nOther programs use this machine; run the command "
            "again when they have ended."
        )


def _unchanged(times: Sequence[StageTimes]) -> list[float]:
    """The time of the convolutions of each model over that of the first."""
    first = times[0].stages["conv"]
    return [each.stages["conv"] / first for each in times]
