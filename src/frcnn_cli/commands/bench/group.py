"""`frcnn bench`: this toolkit beside its alternatives, timed in turn in one run."""

from __future__ import annotations

import click

from frcnn_cli.commands.bench.compress import bench_compress, bench_svd
from frcnn_cli.commands.bench.detect import bench_detect
from frcnn_cli.commands.bench.eval import bench_eval
from frcnn_cli.commands.bench.operators import bench_nms, bench_roi_pool
from frcnn_cli.commands.bench.propose import bench_propose
from frcnn_cli.commands.bench.sampling import bench_sampling
from frcnn_cli.commands.bench.train import bench_train
from frcnn_cli.commands.bench.train_options import bench_train_options


@click.group("bench", short_help="Measure this toolkit against its alternatives.")
def bench() -> None:
    """Measure this toolkit against its alternatives, in turn in one run.

    \b
    frcnn bench roi-pool
    frcnn bench nms --json nms.json
    """


for _command in (
    bench_roi_pool,
    bench_nms,
    bench_propose,
    bench_detect,
    bench_eval,
    bench_compress,
    bench_svd,
    bench_sampling,
    bench_train,
    bench_train_options,
):
    bench.add_command(_command)
