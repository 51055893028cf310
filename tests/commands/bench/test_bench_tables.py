"""Tables and JSON of `frcnn bench` for given measurements."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from frcnn_cli.cli import cli
from frcnn_cli.engine.benchmarks import photo, sampling, train, video
from frcnn_cli.engine.benchmarks.photo import PhotoSearch
from frcnn_cli.engine.benchmarks.sampling import SamplingBenchmark
from frcnn_cli.engine.benchmarks.train import Stages, StepOptionTime, TrainingTimes
from frcnn_cli.engine.benchmarks.video import VideoBenchmark, VideoResult
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.distributed import devices


def run_bench(folder: Path, *arguments: str) -> tuple[dict[str, list[str]], dict]:
    """The rows of the tables by their first word, and the content of --json."""
    path = folder / "found.json"
    done = CliRunner().invoke(cli, ["bench", *arguments, "--json", str(path)])
    assert done.exit_code == 0, done.output
    lines = [line.replace("│", " ").split() for line in done.output.splitlines()]
    rows: dict[str, list[str]] = {}
    for words in filter(None, lines):
        rows.setdefault(words[0], []).extend(words[1:])
    return rows, json.loads(path.read_text())


def test_training_against_a_plain_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = Stages(0.01, 0.04, 0.01, 0.04, 0.08, 0.02)
    times = TrainingTimes("lite", 0.25, 0.625, stages, (1.5, 1.5))

    def measure(cases, rounds, steps, reporter):
        assert [case.name for case in cases] == ["lite"]
        assert (rounds, steps) == (3, 4)
        return [times]

    monkeypatch.setattr(train, "benchmark_training", measure)
    rows, found = run_bench(tmp_path, "train", "--cases", "lite")
    shares = ["5.0%", "20.0%", "5.0%", "20.0%", "40.0%", "10.0%"]
    assert rows["lite"] == ["0.250", "0.625", "2.50", *shares]
    assert found["cases"][0]["ratio"] == 2.5


def test_options_of_a_training_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The table must not depend on the processor.
    monkeypatch.setattr(devices, "has_fast_bfloat16", lambda device: True)

    def measure(case, options, rounds, steps, reporter):
        assert (case.name, [option.name for option in options]) == ("lite", ["usual", "bfloat16"])
        return [StepOptionTime("usual", 0.3, 1.0), StepOptionTime("bfloat16", 0.2, 1.5)]

    monkeypatch.setattr(train, "benchmark_step_options", measure)
    rows, found = run_bench(tmp_path, "train-options", "--ways", "usual,bfloat16")
    assert rows["bfloat16"] == ["0.200", "1.50"]
    assert [way["seconds"] for way in found["ways"]] == [0.3, 0.2]


def test_a_photo_against_usual_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate_dataset(tmp_path / "shapes", images=8, size=(64, 64))

    def measure(name, split, data_root, images, rounds, modes, reporter):
        assert (name, split, images, rounds, modes) == ("shapes", "trainval", 5, 3, ("fast",))
        return [PhotoSearch("fast", 4, 0.04, 0.1, 7_000_000, 90_000_000)]

    monkeypatch.setattr(photo, "benchmark_photo", measure)
    arguments = ["--dataset", "shapes", "--data-root", str(tmp_path), "--mode", "fast"]
    rows, found = run_bench(tmp_path, "photo", *arguments)
    assert rows["fast"] == ["0.040", "0.100", "2.50", "7", "90"]
    assert found["modes"][0]["extra_bytes"] == 83_000_000


@pytest.mark.parametrize("own", [True, False])
def test_both_sampling_strategies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    seen = []

    def measure(case, rounds, reporter):
        seen.append(len(case.dataset.images))
        return SamplingBenchmark(128, 2, 128, 0.5, 24.0, 300_000_000, 900_000_000, 2)

    monkeypatch.setattr(sampling, "measure_sampling", measure)
    monkeypatch.setattr(sampling, "GENERATED_IMAGES", 20)
    monkeypatch.setattr(sampling, "GENERATED_SIZE", (128, 96))
    data: list[str] = []
    if own:
        root = generate_dataset(tmp_path / "shapes", 8, size=(128, 96))
        data = ["--dataset", str(root), "--split", "train"]
    rows, found = run_bench(tmp_path, "sampling", *data)
    assert rows["hierarchical"] == ["2", "0.50", "1.0", "300"]
    assert rows["roi-centric"] == ["128", "24.00", "48.0", "900"]
    assert found["ratio"] == 48.0
    assert seen == [5 if own else 15]


def test_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(name, split, data_root, model, runs_root, cases, clips, frames, output):
        assert (name, split, str(model), clips, frames) == ("shapes", "test", "voc", 2, 4)
        results = [VideoResult(case, 0.25, 0.05, 0.2, 1406.4, 0.7104) for case in cases]
        return VideoBenchmark(tuple(results), 8, 2)

    monkeypatch.setattr(video, "benchmark_video", measure)
    generate_dataset(tmp_path / "shapes", images=8, size=(64, 64))
    arguments = ["--dataset", "shapes", "--data-root", str(tmp_path), "--clips", "2"]
    rows, found = run_bench(tmp_path, "video", *arguments, "--frames", "4", "--cases", "tracked")
    assert rows["tracked"] == ["1406", "50.0", "250.0", "200.0", "5.0", "71.0"]
    assert found["cases"] == [
        {
            "name": "tracked",
            "processor_s": 0.25,
            "proposals_s": 0.05,
            "elapsed_s": 0.2,
            "boxes": 1406.4,
            "map_area": 0.7104,
        }
    ]
    assert (found["frames"], found["threads"]) == (8, 2)
