"""`frcnn bench roi-pool` and `frcnn bench nms`: our compiled operators against torchvision's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from frcnn_cli.commands.bench.cases import bench_device
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.tables import make_table
from frcnn_proposals.wording import counted

if TYPE_CHECKING:
    import torch

    from frcnn_cli.engine.benchmarks.operators import OperatorCase

_HEADINGS = ("case", "ours", "copy", "x copy", "torchvision", "ratio", "onnx", "equal")


@click.command("roi-pool")
@options.count("--rounds", default=11, help="Number of timed runs per case.")
@bench_device
@options.json_file
@pass_output
def bench_roi_pool(output: Output, rounds: int, device: str, json_path: Path | None) -> None:
    """Time RoI pooling, forward and backward, against torchvision's and a plain copy.

    torchvision pools 16-bit features as float32, with the conversions timed. If onnxruntime is
    installed, its MaxRoiPool is timed too. Ratios are meaningful only on an otherwise idle machine.

    \b
    frcnn bench roi-pool --json roi-pool.json
    """
    from frcnn_cli.engine.benchmarks.roi_pool import benchmark_roi_pool
    from frcnn_cli.engine.distributed.devices import find_device

    where = find_device(device)
    cases = benchmark_roi_pool(rounds, device=where, reporter=output)
    _report(output, "RoI pooling", cases, where, json_path)


@click.command("nms")
@options.count("--rounds", default=21, help="Number of timed runs per case.")
@bench_device
@options.json_file
@pass_output
def bench_nms(output: Output, rounds: int, device: str, json_path: Path | None) -> None:
    """Time non-maximum suppression per class against torchvision's.

    \b
    frcnn bench nms --json nms.json
    """
    from frcnn_cli.engine.benchmarks.operators import benchmark_nms
    from frcnn_cli.engine.distributed.devices import find_device

    where = find_device(device)
    cases = benchmark_nms(rounds, device=where, reporter=output)
    _report(output, "Non-maximum suppression", cases, where, json_path)


def _report(
    output: Output,
    title: str,
    cases: Sequence[OperatorCase],
    device: torch.device,
    json_path: Path | None,
) -> None:
    import torch

    threads = f", {counted(torch.get_num_threads(), 'thread')}" if device.type == "cpu" else ""
    heading = f"{title} on {device}{threads} (medians, ms)"
    rows = (
        (
            case.name,
            f"{case.ours_s * 1e3:.1f}",
            f"{case.copy_s * 1e3:.1f}",
            f"{case.times_copy:.1f}",
            f"{case.torchvision_s * 1e3:.1f}",
            f"{case.ratio:.1f}",
            "-" if case.onnxruntime_s is None else f"{case.onnxruntime_s * 1e3:.1f}",
            "yes" if case.equal else "NO",
        )
        for case in cases
    )
    output.print(make_table(heading, _HEADINGS, rows, narrow=True))
    output.note(
        "copy: a plain copy of the bytes of the inputs and outputs, each moved once. "
        "ratio: torchvision's time over ours."
    )
    write_json(json_path, {"cases": [case.to_json() for case in cases]})
