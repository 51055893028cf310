"""The start-up benchmark measures known properties of a few command lines."""

import json

from click.testing import CliRunner

from frcnn_cli.commands.bench.start_up import bench_start_up
from frcnn_cli.engine.benchmarks.start_up import PYTHON, TORCH, benchmark_start_up


def test_torch_takes_more_than_python_and_exit_codes_are_recorded():
    result = benchmark_start_up(["--help", "runs --runs nowhere", "nonsense"], repeats=1)
    by_line = {start.line: start for start in result.results}
    assert list(by_line)[:2] == [PYTHON, TORCH]
    python, torch = by_line[PYTHON], by_line[TORCH]
    assert python.seconds < torch.seconds
    assert python.peak_bytes < 40_000_000 < 150_000_000 < torch.peak_bytes
    codes = [by_line[f"frcnn {line}"].exit_code for line in ("--help", "runs --runs nowhere")]
    assert codes == [0, 1]
    assert by_line["frcnn nonsense"].exit_code == 2


def test_the_command_shows_a_table_and_writes_json(tmp_path):
    arguments = ["proposals inspect boxes.proposals", "--repeats", "1"]
    result = CliRunner().invoke(bench_start_up, [*arguments, "--json", str(tmp_path / "b.json")])
    assert result.exit_code == 0, result.output
    assert {"peak", "memory", "exit", "code"} <= set(result.output.split())
    lines = json.loads((tmp_path / "b.json").read_text())["results"]
    assert [line["exit_code"] for line in lines] == [0, 0, 0]
