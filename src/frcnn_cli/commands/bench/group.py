"""`frcnn bench`: this toolkit and its alternatives, timed interleaved in one run."""

from __future__ import annotations

import click

from frcnn_cli.commands.shared.lazy_group import LazyGroup

_COMMANDS = {
    "roi-pool": ("bench.operators:bench_roi_pool", "Time RoI pooling beside torchvision's."),
    "nms": ("bench.operators:bench_nms", "Time non-maximum suppression beside torchvision's."),
    "propose": ("bench.propose:bench_propose", "Time selective search beside OpenCV's."),
    "detect": ("bench.detect:bench_detect", "Time detection beside a model of standard parts."),
    "eval": ("bench.eval:bench_eval", "Time the scoring of detections beside pycocotools."),
    "compress": ("bench.compress:bench_compress", "Time a network with and without SVD."),
    "svd": ("bench.compress:bench_svd", "Time the truncation of a layer beside NumPy's SVD."),
    "sampling": ("bench.sampling:bench_sampling", "Time a mini-batch from 2 images, and from 128."),
    "train": ("bench.train:bench_train", "Time a training step beside a plain loop."),
    "train-options": (
        "bench.train:bench_train_options",
        "Time what each option of a training step contributes.",
    ),
    "start-up": (
        "bench.start_up:bench_start_up",
        "Measure the start of commands that need no network.",
    ),
}


@click.group("bench", cls=LazyGroup, lazy=_COMMANDS)
def bench() -> None:
    """Measure this toolkit against its alternatives, interleaved in one run.

    \b
    frcnn bench roi-pool
    frcnn bench nms --json nms.json
    """
