"""Times of compressed models are measured again while other programs disturb them."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
import torch
from rich.console import Console

from frcnn_cli.commands.compress.tables import cost_table
from frcnn_cli.engine.compression import costs
from frcnn_cli.engine.compression.costs import report_costs
from frcnn_cli.engine.detection import stage_times
from frcnn_cli.engine.detection.stage_times import NETWORK_STAGES, StageTimes, time_stages
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.reporter import Silent
from frcnn_cli.engine.settings import Architecture, Preprocessing
from frcnn_proposals.base import Proposals


class Warnings(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def model() -> FastRCNN:
    torch.manual_seed(0)
    small = Preprocessing(scale=64, max_size=120)
    return FastRCNN(Architecture("efficientnet_lite0", ("circle",), (24, 16), small)).eval()


def times_with(conv: float) -> StageTimes:
    stages = dict.fromkeys(NETWORK_STAGES, 1.0) | {"conv": conv}
    return StageTimes(sum(stages.values()), stages)


def measure_with(
    model: FastRCNN, monkeypatch: pytest.MonkeyPatch, conv: float
) -> tuple[list[costs.Cost], bool, list[str]]:
    """The costs of two models, the second with this time of the convolutions.

    Also whether these times are enough, and the warnings.
    """
    enough, warnings = False, Warnings()

    def time(
        *_: object, is_enough: Callable[[list[StageTimes]], bool], attempts: int
    ) -> list[StageTimes]:
        nonlocal enough
        assert attempts > 1
        times = [times_with(1.0), times_with(conv)]
        enough = is_enough(times)
        return times

    monkeypatch.setattr(costs, "time_stages", time)
    monkeypatch.setattr(costs, "prepare_model", lambda model, precision: model)
    measured = report_costs((model, model), "float32", warnings)
    return measured, enough, warnings.lines


def ratios(before: costs.Cost, after: costs.Cost) -> dict[str, str]:
    stream = io.StringIO()
    Console(file=stream, width=100).print(cost_table(before, after))
    rows = [[cell.strip() for cell in line.split("│")] for line in stream.getvalue().splitlines()]
    return {row[1]: row[4] for row in rows if len(row) == 6}


@pytest.mark.parametrize("conv", [0.96, 1.0, 1.04])
def test_undisturbed_times_are_used(
    model: FastRCNN, monkeypatch: pytest.MonkeyPatch, conv: float
) -> None:
    (before, after), enough, warnings = measure_with(model, monkeypatch, conv)
    assert (enough, warnings) == (True, [])
    assert ratios(before, after)["convolutions"] == f"{conv:.2f}"
    assert after.to_json()["unchanged"] == conv


@pytest.mark.parametrize("conv", [0.52, 1.7])
def test_disturbed_times_are_repeated_and_then_rejected(
    model: FastRCNN, monkeypatch: pytest.MonkeyPatch, conv: float
) -> None:
    (before, after), enough, (line,) = measure_with(model, monkeypatch, conv)
    assert not enough
    assert f"times cannot be used: the convolutions, which do not change, took {conv:.2f}" in line
    shown = ratios(before, after)
    assert shown["parameters"] == "1.00"
    assert {shown[name] for name in ("seconds per image", "convolutions", "fc6")} == {"-"}


@pytest.mark.parametrize(("steady_after", "runs"), [(1, 3), (2, 6), (9, 9)])
def test_rounds_are_repeated_until_the_medians_are_enough(
    model: FastRCNN, monkeypatch: pytest.MonkeyPatch, steady_after: int, runs: int
) -> None:
    monkeypatch.setattr(stage_times, "detect_image", lambda *_: None)
    done, checks = 0, 0

    def count() -> None:
        nonlocal done
        done += 1

    def is_enough(medians: list[StageTimes]) -> bool:
        nonlocal checks
        checks += 1
        assert len(medians) == 2
        return checks == steady_after

    image = stage_times.sample_image(8, 8)
    time_stages(
        (model, model), image, Proposals([]), 3, count, is_enough=is_enough, attempts=3
    )  # fmt: skip
    assert done == 2 * (1 + runs)
