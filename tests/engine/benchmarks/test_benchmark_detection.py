"""`frcnn bench detect`: the baseline computes what ours does, and the stages add up."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from folders import write_voc
from torch import nn

from frcnn_cli.cli import cli
from frcnn_cli.engine.benchmarks import detect as detect_module
from frcnn_cli.engine.benchmarks.baselines import BaselineDetector, BaselineNetwork
from frcnn_cli.engine.benchmarks.cases import DETECTION_CASES
from frcnn_cli.engine.benchmarks.detect import sample_images
from frcnn_cli.engine.detection.image import detect_image
from frcnn_cli.engine.detection.stage_times import STAGES, StageClock
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.reporter import SILENT
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Proposals
from frcnn_proposals.sources.dense import DenseBoxes


def test_the_baseline_finds_the_same_detections(small_model: FastRCNN) -> None:
    small_model.features = nn.Sequential(nn.AvgPool2d(8, ceil_mode=True), nn.Conv2d(3, 128, 1))
    for layer in (small_model.features[1], small_model.fc6, small_model.fc7, small_model.score):
        torch.nn.init.kaiming_normal_(layer.weight)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    # Every box has a distinct window and score, since boxes of equal scores have no defined order.
    columns, rows = range(0, 96, 16), range(0, 64, 16)
    boxes = [
        [x1, y1, x2 + 15, y2 + 15]
        for x1 in columns for x2 in columns for y1 in rows for y2 in rows if x1 <= x2 and y1 <= y2
    ]  # fmt: skip
    proposals = Proposals(np.array(boxes))
    settings = DetectSettings(score_threshold=0.2, max_per_class=30, top_k=20)
    ours = detect_image(small_model, image, proposals, settings)
    theirs = BaselineDetector(small_model).detect(image, proposals, settings)
    assert len(np.unique(ours.scores)) == len(ours) > 5
    assert np.allclose(ours.scores, theirs.scores, atol=1e-5)
    assert np.allclose(ours.boxes, theirs.boxes, atol=1e-3)
    assert ours.labels.tolist() == theirs.labels.tolist()


def test_the_baseline_network_copies_the_weights(small_model: FastRCNN) -> None:
    network = BaselineNetwork(small_model)
    assert network.features.stem.weight.is_contiguous()
    with torch.no_grad():
        network.fc6.weight.zero_()
    assert small_model.fc6.weight.abs().sum() > 0


def test_stages_add_up_and_the_model_is_restored(small_model: FastRCNN) -> None:
    clock = StageClock()
    image = np.zeros((60, 80, 3), np.uint8)
    with clock.stage("proposals"):
        proposals = DenseBoxes(step=0.5).propose(image)
    start = clock.now()
    with clock.watching(small_model):
        detect_image(small_model, image, proposals, DetectSettings())
    total = clock.now() - start
    assert tuple(clock.seconds) == STAGES
    assert all(seconds > 0 for seconds in clock.seconds.values())
    assert sum(clock.seconds.values()) - clock.seconds["proposals"] == pytest.approx(total, rel=0.1)
    assert "pool" not in vars(small_model)


def test_images_are_those_of_voc2007_if_it_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_voc(tmp_path / "VOC2007", {"test": ["1", "2", "3"]}, {}, size=(90, 70))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FRCNN_SHARED_DATA", raising=False)
    monkeypatch.setenv("FRCNN_DATA", str(tmp_path))
    images, photographs = sample_images(2)
    assert [image.shape for image in images] == [(70, 90, 3)] * 2
    assert photographs


@pytest.mark.parametrize("is_set", [True, False])
def test_without_voc_images_images_are_generated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_set: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FRCNN_DATA", raising=False)
    monkeypatch.delenv("FRCNN_SHARED_DATA", raising=False)
    if is_set:
        monkeypatch.setenv("FRCNN_SHARED_DATA", str(tmp_path))
    images, photographs = sample_images(2)
    assert [image.shape for image in images] == [(375, 500, 3)] * 2
    assert not photographs


def test_the_command_writes_its_cases(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    command = ["bench", "detect", "--cases", "lite-made", "--images", "1", "--rounds", "1"]
    result = CliRunner().invoke(cli, [*command, "--json", str(path)])
    assert result.exit_code == 0, result.output
    (case,) = json.loads(path.read_text())["cases"]
    assert case["name"] == "lite-made"
    assert case["ratio"] == pytest.approx(case["baseline_s"] / case["ours_s"])
    assert case["equal"] is True
    for who in ("ours", "baseline"):
        shares = [stage[f"{who}_share"] for stage in case["stages"].values()]
        assert sum(shares) == pytest.approx(1)
        assert min(shares) > 0
    assert CliRunner().invoke(cli, ["bench", "detect", "--cases", "vgg"]).exit_code == 2
    assert json.loads(path.read_text())["pipelines"] == []  # the CPU has no other work to wait for


def test_the_pipelines_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run on the CPU: given proposals are searched before the time begins."""
    monkeypatch.setattr(detect_module, "PIPELINE_IMAGES", 2)
    monkeypatch.setattr(detect_module, "usable_cores", lambda: 3)
    cases = [case for case in DETECTION_CASES if case.name in ("lite-given", "lite-made")]
    found = detect_module._pipelines(cases, torch.device("cpu"), SILENT)
    expected = [(case, workers) for case in ("lite-given", "lite-made") for workers in (1, 2, 3)]
    assert [(times.name, times.workers) for times in found] == expected
    assert all(times.images == 2 for times in found)
    assert min(times.search_s for times in found[3:]) > 1e-3
