"""The bench of training: both contestants train on the same."""

import pytest

from frcnn_cli.engine.benchmarks.train import TrainingCase, benchmark_training


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_both_lose_the_same_on_the_same_rois(precision: str) -> None:
    case = TrainingCase("small", "lite", precision, scale=64)
    (result,) = benchmark_training((case,), rounds=1, steps=1)
    ours, theirs = result.losses
    assert ours == pytest.approx(theirs, rel=1e-3 if precision == "float32" else 2e-2)
    assert result.ratio == result.torchvision_s / result.ours_s
    assert all(seconds > 0 for seconds in vars(result.stages).values())
    assert {"name", "ours_s", "torchvision_s", "ratio", "stages"} <= set(result.to_json())
