"""What a RoI sees, and what a mini-batch costs: why SPPnet fixed its convolutions (section 2.3)."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from frcnn_cli.engine.network.layer_costs import layer_costs
from frcnn_cli.engine.network.receptive_field import (
    Field,
    ReceptiveFields,
    Size,
    Step,
    Window,
)
from frcnn_cli.engine.pages.explain.sections.rounding import rounded
from frcnn_cli.engine.pages.explain.subject import Subject
from frcnn_cli.engine.settings import Architecture, Sampling

# By `frcnn bench sampling`; docs/experiments.md has the whole measurement.
MEASURED = {
    "backbone": "efficientnet_lite0",
    "scale": 400,
    "hierarchical_s": 0.78,
    "roi_centric_s": 63.9,
    "ratio": 82.0,
}


def field_numbers(subject: Subject) -> dict[str, Any]:
    """The receptive field of each chosen RoI, and the cost of a mini-batch by both samplings.

    layers: those with windows of more than one cell, from the map back to the input. fields: one
    per chosen RoI, None for one outside the map. cell: side of the field of a single cell, in
    pixels of the input; None if it is the whole image, however large that is.
    """
    architecture = subject.model.architecture
    size = subject.input_size
    fields = ReceptiveFields(architecture.backbone, size)
    whole = fields.of(Window(*map(range, fields.map_size)))
    return {
        "input": [size[1], size[0]],
        "layers": [
            {
                "name": step.layer,
                "kernel": list(step.geometry.kernel_size[::-1]),
                "stride": max(step.geometry.stride),
            }
            for step in _looking_around(whole)
        ],
        "fields": [
            None if window is None else _field(fields.of(window), size, subject.scale)
            for window in subject.chosen_windows()
        ],
        "cell": _one_cell(architecture.backbone),
        "costs": _costs(architecture, size),
        "measured": MEASURED,
    }


def _field(field: Field, size: Size, scale: float) -> dict[str, Any]:
    """pixels: width and height in the input. share: of its area.

    steps: x1, y1, x2, y2, in pixels of the image, of all that the layers use up to each of them;
    the windows of maps are scaled to the image. The last one is the receptive field.
    """
    rows, columns = field.pixels
    in_input = [_scaled(step, size) for step in _looking_around(field)]
    return {
        "pixels": [len(columns), len(rows)],
        "share": rounded(len(rows) * len(columns) / (size[0] * size[1]), 4),
        "steps": [_box(window, scale) for window in accumulate(in_input, Window.joined)],
    }


def _looking_around(field: Field) -> list[Step]:
    """The layers that use more than one cell of their input for a cell of their output."""
    return [
        step for step in field.steps if max(*step.geometry.kernel_size, *step.geometry.stride) > 1
    ]


def _scaled(step: Step, size: Size) -> Window:
    """The window of a layer's input in pixels of the network's input."""
    rows, columns = (
        range(part.start * stride, min(part.stop * stride, length))
        for part, length, cells in zip(step.window, size, step.size, strict=True)
        for stride in [round(length / cells)]
    )
    return Window(rows, columns)


def _one_cell(backbone: str) -> int | None:
    length = 4096
    fields = ReceptiveFields(backbone, (length, length))
    middle = range(fields.map_size[0] // 2, fields.map_size[0] // 2 + 1)
    side = len(fields.of(Window(middle, middle)).pixels.rows)
    return None if side == length else side


def _box(window: Window, scale: float) -> list[float]:
    """Inclusive corners in pixels of the image."""
    rows, columns = window
    corners = (columns.start / scale, rows.start / scale)
    ends = (columns.stop / scale - 1, rows.stop / scale - 1)
    return [round(value, 1) for value in (*corners, *ends)]


def _costs(architecture: Architecture, size: Size) -> dict[str, Any]:
    """Multiply-adds of the forward pass of one image, one RoI, and a mini-batch of each kind."""
    costs, sampling = layer_costs(architecture, size), Sampling()
    rois = sampling.images * sampling.rois_per_image
    image = costs.multiply_adds(rois=0)
    hierarchical = sampling.images * costs.multiply_adds(sampling.rois_per_image)
    roi_centric = rois * costs.multiply_adds(rois=1)
    return {
        "image": image,
        "roi": costs.multiply_adds(rois=1) - image,
        "rois": rois,
        "images": sampling.images,
        "hierarchical": hierarchical,
        "roi_centric": roi_centric,
        "ratio": rounded(roi_centric / hierarchical, 3),
    }
