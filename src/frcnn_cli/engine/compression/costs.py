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
from frcnn_cli.engine.settings import Precision

ROIS = 2000
REPEATS = 5  # timed runs of each model


@dataclass(frozen=True)
class Cost:
    """Costs of one model, for one noise image (500 x 375) with 2,000 proposals.

    multiply_adds: of all convolutions and fully connected layers, over all RoIs.
    """

    parameters: int
    multiply_adds: int
    times: StageTimes

    def to_json(self) -> dict[str, Any]:
        """As JSON values: parameters, multiply_adds, seconds_an_image, stages."""
        values = asdict(self)
        times = values.pop("times")
        return values | {"seconds_an_image": times["seconds"], "stages": times["stages"]}


def measure_costs(
    models: Sequence[FastRCNN],
    precision: Precision,
    repeats: int = REPEATS,
    on_run: Callable[[], None] = lambda: None,
) -> list[Cost]:
    """Measure the cost of each model; times are medians of runs that alternate between models.

    Models are first prepared for detection, and each runs once untimed. on_run is called after
    each run, len(models) * (repeats + 1) times.
    """
    prepared = [prepare_model(model, precision) for model in models]
    image = sample_image()
    costs = []
    times = time_stages(prepared, image, sample_proposals(ROIS), repeats, on_run)
    for model, time in zip(models, times, strict=True):
        pixels, _ = image_tensor(image, model.architecture.preprocessing)
        height, width = pixels.shape[1:]
        multiply_adds = layer_costs(model.architecture, (height, width)).multiply_adds(ROIS)
        costs.append(Cost(parameter_count(model), multiply_adds, time))
    return costs
