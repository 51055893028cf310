"""`frcnn bench`: time this toolkit and its alternatives, interleaved in one run."""

from __future__ import annotations

import click

from frcnn_cli.commands.shared.lazy_group import LazyGroup

_COMMANDS = {
    "roi-pool": ("bench.operators:bench_roi_pool", "Time RoI pooling against torchvision's."),
    "nms": ("bench.operators:bench_nms", "Time non-maximum suppression against torchvision's."),
    "propose": ("bench.propose:bench_propose", "Time selective search against OpenCV's."),
    "photo": ("bench.photo:bench_photo", "Time selective search of a large and of usual images."),
    "detect": ("bench.detect:bench_detect", "Time detection against a model of standard parts."),
    "video": ("bench.video:bench_video", "Time detection in a video, and measure its mAP."),
    "models": ("bench.models:bench_models", "Time trained models against each other."),
    "eval": ("bench.eval:bench_eval", "Time the scoring of detections against pycocotools."),
    "compress": ("bench.compress:bench_compress", "Time a network with and without SVD."),
    "svd": ("bench.compress:bench_svd", "Time the truncation of a layer against NumPy's SVD."),
    "sampling": ("bench.sampling:bench_sampling", "Time a mini-batch from 2 and from 128 images."),
    "train": ("bench.train:bench_train", "Time a training step against a plain loop."),
    "train-options": (
        "bench.train:bench_train_options",
        "Time the effect of each option of a training step.",
    ),
    "start-up": (
        "bench.start_up:bench_start_up",
        "Measure the start-up of commands that need no network.",
    ),
}


@click.group("bench", cls=LazyGroup, lazy=_COMMANDS)
def bench() -> None:
    """Time this toolkit against its alternatives, interleaved in one run.

    \b
    frcnn bench roi-pool
    frcnn bench nms --json nms.json
    """
