"""The length of a schedule: iterations, epochs, and small datasets."""

from __future__ import annotations

from pathlib import Path

import pytest

from frcnn_cli.engine.models.experiment_options import SettingOptions, experiment_from
from frcnn_cli.engine.models.presets import base_experiment
from frcnn_cli.engine.settings import Sampling, Schedule
from frcnn_proposals.errors import MisuseError

LITE = base_experiment("lite").train.schedule


@pytest.mark.parametrize(
    ("images", "iterations"),
    [(5011, 9000), (1000, 9000), (999, 9000), (250, 4500), (40, 1800), (1, 500)],
)
def test_lite_is_shortened_by_the_square_root_below_1000_images(
    images: int, iterations: int
) -> None:
    schedule = LITE.for_images(images, 2)
    assert schedule.iterations == iterations
    assert schedule.warmup == LITE.warmup
    assert schedule.for_images(1, 2) == schedule  # a run's own setting is not shortened again


@pytest.mark.parametrize("preset", ["paper-s", "paper-m", "paper-l"])
def test_the_schedules_of_the_paper_are_never_shortened(preset: str) -> None:
    schedule = base_experiment(preset).train.schedule
    assert schedule.for_images(10, 2) == schedule


def test_epochs_are_passes_over_the_images_with_a_short_warm_up() -> None:
    schedule = Schedule(epochs=3, warmup=200).for_images(31, 2)
    assert (schedule.iterations, schedule.warmup, schedule.epochs) == (48, 4, 0)
    assert Schedule(epochs=0.5, warmup=200).for_images(40_000, 2).warmup == 200
    assert Schedule(epochs=0.001).for_images(10, 2).iterations == 1


def test_images_of_a_mini_batch() -> None:
    assert Sampling(images=2, rois_per_image=64).images_per_iteration == 2
    roi_centric = Sampling(images=2, rois_per_image=64, strategy="roi-centric")
    assert roi_centric.images_per_iteration == 128


def length(**options: object) -> tuple[int, float, int]:
    schedule = experiment_from(SettingOptions(**options)).train.schedule  # type: ignore[arg-type]
    return schedule.iterations, schedule.epochs, schedule.shorten_below


def test_a_given_length_is_not_shortened_and_the_last_one_counts(tmp_path: Path) -> None:
    in_iterations, in_epochs = tmp_path / "iterations.toml", tmp_path / "epochs.toml"
    in_iterations.write_text("[schedule]\niterations = 70\n")
    in_epochs.write_text("[schedule]\nepochs = 7.0\n")
    of_a_run = tmp_path / "setting.toml"
    of_a_run.write_text("[schedule]\niterations = 70\nepochs = 0.0\nshorten_below = 0\n")
    assert length(config=of_a_run) == (70, 0, 0)
    assert length(config=of_a_run, fields={"epochs": 9.0}) == (9000, 9, 0)
    assert length() == (9000, 0, 1000)
    assert length(fields={"iterations": 9}) == (9, 0, 0)
    assert length(fields={"epochs": 9.0}) == (9000, 9, 0)
    assert length(assignments=("schedule.iterations=9",)) == (9, 0, 0)
    assert length(config=in_iterations) == (70, 0, 0)
    assert length(config=in_epochs) == (9000, 7, 0)
    assert length(config=in_epochs, fields={"iterations": 9}) == (9, 0, 0)
    assert length(config=in_iterations, fields={"epochs": 9.0}) == (9000, 9, 0)


def test_iterations_and_epochs_together_are_misuse() -> None:
    with pytest.raises(MisuseError, match=r"not both \(--iterations, --epochs\)"):
        length(fields={"iterations": 9, "epochs": 2.0})
    with pytest.raises(MisuseError, match="pochs is -1"):
        length(fields={"epochs": -1.0})


@pytest.mark.parametrize(
    "options",
    [SettingOptions(fields={"epochs": 0.0}), SettingOptions(assignments=("schedule.epochs=0",))],
)
def test_no_epochs_are_not_the_default_length(options: SettingOptions) -> None:
    with pytest.raises(MisuseError, match="is 0; it must be greater than 0"):
        experiment_from(options)
