"""mAP against the number of proposals (paper, section 5.5)."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from frcnn_cli.engine.detection.images import detect_dataset
from frcnn_cli.engine.evaluation.voc import evaluate_voc
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError, MisuseError


@dataclass(frozen=True)
class SweepPoint:
    """One number of proposals an image (at most), and the averages it reached."""

    proposals: int
    map_11point: float
    map_area: float


def parse_sweep(text: str) -> tuple[int, ...]:
    """The counts in `proposals=100,300,1000`. Raises MisuseError for anything else."""
    name, _, values = text.partition("=")
    try:
        counts = tuple(int(value) for value in values.split(","))
    except ValueError:
        counts = ()
    if name.strip() != "proposals" or not counts or not all(0 < count < 2**31 for count in counts):
        raise MisuseError(f"--sweep is written as proposals=100,300,1000, not '{text}'.")
    return counts


def sweep_proposals(
    model: FastRCNN,
    dataset: Dataset,
    proposals: Mapping[str, Proposals],
    settings: DetectSettings,
    counts: Sequence[int],
    on_image: Callable[[], None] = lambda: None,
) -> tuple[SweepPoint, ...]:
    """Detect and score with the first n proposals of each image, for each n of `counts`."""
    points = []
    for count in counts:
        chosen = replace(settings, proposals=count)
        detected = detect_dataset(model, dataset, proposals, chosen, on_image)
        result = evaluate_voc(dataset, detected.detections)
        points.append(SweepPoint(count, result.map_11point or 0.0, result.map_area or 0.0))
    return tuple(points)


def sweep_plot(points: Sequence[SweepPoint], title: str) -> bytes:
    """A PNG of mAP against the number of proposals. Raises InputError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("The plot needs matplotlib: pip install matplotlib") from error
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    counts = [point.proposals for point in points]
    axes.plot(counts, [point.map_11point for point in points], marker="o", label="11-point")
    axes.plot(counts, [point.map_area for point in points], marker="s", label="area")
    axes.set(xscale="log", xlabel="proposals an image, at most", ylabel="mAP", title=title)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
