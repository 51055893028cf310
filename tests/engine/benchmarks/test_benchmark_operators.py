"""The benchmarks of the operators run on small cases; their times are not asserted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from frcnn_cli.commands.bench.group import bench
from frcnn_cli.engine.benchmarks import operators as nms
from frcnn_cli.engine.benchmarks import roi_pool
from frcnn_cli.engine.benchmarks.operators import OperatorCase, draw_rois
from frcnn_cli.engine.benchmarks.roi_pool import max_roi_pool_model
from frcnn_cli.engine.models.presets import base_experiment
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_kernels.reference import roi_pool_reference

SMALL = tuple(
    replace(case, map_shape=(case.map_shape[0], 8, 9, 12), rois=6, image_size=(190, 140))
    for case in roi_pool.CASES
)


def test_every_pooling_case_runs_and_agrees() -> None:
    results = roi_pool.benchmark_roi_pool(rounds=1, cases=SMALL)
    assert [result.name for result in results] == [case.name for case in roi_pool.CASES]
    assert all(result.equal for result in results)
    moved = {result.name: result.bytes for result in results}
    # Bytes: map, RoIs and output; then two images, and an argmax half as large as the output.
    cells, boxes, pooled = 8 * 9 * 12 * 4, 6 * 5 * 4, 6 * 8 * 49 * 4
    assert moved["infer-vgg16-out"] == cells + boxes + pooled
    assert moved["infer-lite-out-bf16"] == cells // 2 + boxes + pooled // 2
    assert moved["train-vgg16"] == 2 * cells + boxes + pooled + pooled // 2
    assert moved["backward-2000"] == cells + boxes + pooled + pooled // 2
    assert moved["backward-2000-f16"] == cells // 2 + boxes + pooled // 2 + pooled // 2


def test_the_lite_cases_have_the_map_of_the_preset() -> None:
    experiment = base_experiment(None, None)
    backbone = find_backbone(experiment.backbone)
    for case in roi_pool.CASES:
        if "lite" in case.name:
            width, height = case.image_size
            assert min(case.image_size) == experiment.preprocessing.scale
            assert case.spatial_scale == 1 / backbone.stride
            images = torch.zeros(1, 3, height, width, device="meta")
            with torch.device("meta"):
                features = backbone.build()(images)
            assert features.shape[1:] == case.map_shape[1:]
            assert case.channels_last


def test_nms_cases_run_and_agree() -> None:
    results = nms.benchmark_nms(rounds=1, cases={"small": (3, 40)})
    assert [result.name for result in results] == ["small"]
    assert results[0].equal


def test_ratios_computed_by_hand() -> None:
    case = OperatorCase("case", 0.5, 0.25, 2.0, None, bytes=100, equal=True)
    assert case.ratio == 4.0
    assert case.times_copy == 2.0


def test_random_rois_lie_in_their_image_and_some_fall_on_halves() -> None:
    rois = draw_rois(500, 2, 1000, 600, torch.Generator().manual_seed(0))
    assert rois[:, 0].unique().tolist() == [0, 1]
    assert rois[:, 1:].min() >= 0
    assert rois[:, 3].max() <= 1000
    assert rois[:, 4].max() <= 600
    assert ((rois[:, 1:] / 16) % 1 == 0.5).any()


def test_the_onnx_model_pools_like_the_reference() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(
        max_roi_pool_model(7, 1 / 16), providers=["CPUExecutionProvider"]
    )
    features = torch.randn(2, 3, 9, 12)
    rois = draw_rois(6, 2, 190, 140, torch.Generator().manual_seed(0))
    (pooled,) = session.run(None, {"features": features.numpy(), "rois": rois.numpy()})
    expected, _ = roi_pool_reference(features, rois, (7, 7), 1 / 16)
    assert np.array_equal(pooled, expected.numpy())


def test_the_command_writes_the_cases_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = OperatorCase("nms-small", 0.5, 0.25, 2.0, None, bytes=100, equal=True)
    monkeypatch.setattr(nms, "benchmark_nms", lambda *args, **keywords: [case])
    path = tmp_path / "nms.json"
    result = CliRunner().invoke(bench, ["nms", "--json", str(path)])
    assert result.exit_code == 0, result.output
    assert "nms-small" in result.output
    (written,) = json.loads(path.read_text())["cases"]
    expected = {"name", "ours_s", "torchvision_s", "ratio", "bytes", "copy_s", "times_copy"}
    assert expected <= written.keys()
    assert written["ratio"] == 4.0
