"""`frcnn bench compress` and `frcnn bench svd`: speed-up and cost of truncated SVD."""

from __future__ import annotations

from pathlib import Path

import click

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_proposals.errors import MisuseError


@click.command("compress")
@click.option(
    "--backbone", default="vgg16", show_default=True, help="Network, with random weights."
)
@click.option(
    "--svd-rank", default="fc6=1024,fc7=256", show_default=True, help="Ranks to truncate to."
)
@options.count("--rounds", default=5, help="Number of timed runs per model.")
@options.json_file
@pass_output
def bench_compress(
    output: Output, backbone: str, svd_rank: str, rounds: int, json_path: Path | None
) -> None:
    """Time a network with and without truncated SVD, on one noise image with 2,000 proposals.

    \b
    frcnn bench compress --backbone vgg16 --svd-rank fc6=1024,fc7=256
    """
    from frcnn_cli.commands.compress.tables import cost_table
    from frcnn_cli.engine.benchmarks.compression import benchmark_compression
    from frcnn_cli.engine.compression.bounds import LAYERS, parse_ranks
    from frcnn_cli.engine.network.backbones.find import find_backbone

    ranks = parse_ranks(svd_rank)
    ranks = dict.fromkeys(LAYERS, ranks) if isinstance(ranks, int) else ranks
    speed = benchmark_compression(find_backbone(backbone), ranks, rounds, output)
    output.print(cost_table(speed.before, speed.after))
    if speed.after.has_usable_times:
        output.print(
            f"The network is {speed.ratio:.2f} times as fast, "
            f"fc6 and fc7 are {speed.fully_connected_ratio:.2f} times as fast."
        )
    write_json(json_path, speed.to_json())


@click.command("svd")
@click.option(
    "--shape",
    default="4096x25088",
    show_default="4096x25088, VGG16's fc6",
    help="Outputs and inputs of the layer.",
)
@options.count("--rank", default=1024, help="Rank to truncate to.")
@options.json_file
@pass_output
def bench_svd(output: Output, shape: str, rank: int, json_path: Path | None) -> None:
    """Time the truncation of one layer against numpy.linalg.svd, which takes minutes on VGG16.

    \b
    frcnn bench svd --shape 4096x25088 --rank 1024
    """
    try:
        outputs, inputs = (int(part) for part in shape.split("x"))
    except ValueError:
        outputs = inputs = 0
    if min(outputs, inputs) < rank:
        raise MisuseError(
            f"--shape must be OUTPUTSxINPUTS, both at least the rank {rank}, not '{shape}'."
        )
    from frcnn_cli.engine.benchmarks.compression import benchmark_svd

    with output.progress("Decomposing by frcnn and by NumPy", None):
        speed = benchmark_svd(outputs, inputs, rank)
    output.print(
        f"{outputs} x {inputs} to rank {rank}: ours {speed.ours_s:.2f} s, numpy.linalg.svd "
        f"{speed.numpy_s:.2f} s ({speed.ratio:.1f} times as long)"
    )
    output.print(f"Error {speed.error:.6g}, smallest possible error {speed.optimum:.6g}")
    write_json(json_path, speed.to_json())
