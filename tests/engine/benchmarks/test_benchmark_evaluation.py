"""The benchmark of the evaluation runs on a small case; most tests assert no times."""

import pytest
from click.testing import CliRunner
from reporters import RecordingReporter

from frcnn_cli.commands.bench.eval import bench_eval
from frcnn_cli.engine.benchmarks.evaluation import benchmark_evaluation

pytest.importorskip("pycocotools")


def test_both_are_timed_on_the_same_detections():
    reporter = RecordingReporter()
    result = benchmark_evaluation(20, 10, 3, repeats=2, reporter=reporter)
    assert (result.images, result.detections, result.classes) == (20, 200, 3)
    assert reporter.counts == [(1, 2), (2, 2)]
    assert result.ours.score > 0
    assert result.speedup == pytest.approx(result.theirs.score / result.ours.score)
    assert result.to_json()["speedup_with_reading"] > 0


def test_the_command_shows_a_table_and_writes_json(tmp_path):
    arguments = ["--images", "10", "--detections", "6", "--repeats", "1"]
    result = CliRunner().invoke(bench_eval, [*arguments, "--json", str(tmp_path / "b.json")])
    assert result.exit_code == 0, result.output
    assert "60 detections" in result.output
    assert (tmp_path / "b.json").is_file()


@pytest.mark.long
def test_half_a_million_detections_are_scored_five_times_faster():
    result = benchmark_evaluation()
    assert result.detections == 495_200
    assert result.speedup >= 5
    assert result.speedup_with_reading >= 5
