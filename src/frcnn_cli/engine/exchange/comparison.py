"""Exported files: running them, and comparing their outputs with the model's."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from frcnn_cli.engine.exchange.exported import INPUTS, example_inputs
from frcnn_cli.engine.exchange.exported_nms import exported_module
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.errors import InputError, reason

# Largest allowed difference between a model and its export: scores, and boxes in pixels.
TOLERANCE = 1e-3
# Proposals to compare detections of: enough for some that suppress others.
_PROPOSALS = 60
Runner = Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Export:
    """An exported file, and the largest differences of its outputs on a generated image.

    opset: of ONNX, None for other formats. scores, boxes: largest differences, boxes in pixels.
    """

    path: Path
    opset: int | None
    scores: float
    boxes: float

    @property
    def agrees(self) -> bool:
        """Whether the outputs agree with the model's; False if a difference is not finite."""
        return self.scores <= TOLERANCE and self.boxes <= TOLERANCE

    def check(self) -> None:
        """Raises InputError if the file does not have the model's outputs."""
        if not self.agrees:
            raise InputError(
                f"{self.path}: outputs differ from the model's by more than {TOLERANCE}.\n"
                "Do not use the file. Try another version of torch or onnxruntime."
            )


def onnx_runner(path: Path) -> Runner:
    """A function that runs an ONNX file. Raises InputError if onnxruntime is not installed."""
    need_packages("onnxruntime")
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        arrays = {name: value.numpy() for name, value in zip(INPUTS, inputs, strict=True)}
        return tuple(map(torch.from_numpy, session.run(None, arrays)))

    return run


def torch_runner(path: Path) -> Runner:
    """A function that runs an exported program."""
    program: Any = torch.export.load(path).module()
    return lambda inputs: program(*inputs)


def largest_difference(
    model: FastRCNN,
    run: Runner,
    settings: DetectSettings | None = None,
    with_nms: bool = False,
) -> tuple[float, float]:
    """Largest differences of scores and of boxes (pixels) on a generated image.

    A model that selects RoIs gets twice as many proposals as it selects. Infinite if the detections
    of a file with non-maximum suppression are others than the model's.
    """
    settings = settings or DetectSettings()
    others = 2 * settings.max_proposals if model.architecture.selects_rois else 0
    inputs = example_inputs(model.architecture, max(others, _PROPOSALS if with_nms else 0))
    with torch.inference_mode():
        ours, theirs = exported_module(model, False, settings, with_nms)(*inputs), run(inputs)
    scores, boxes = _largest(ours[0], theirs[0]), _largest(ours[1], theirs[1])
    if with_nms:
        boxes = max(boxes, _largest(ours[2], theirs[2]))
        scores = max(scores, _largest(ours[3], theirs[3]))
        if not torch.equal(ours[4], theirs[4]):
            boxes = math.inf
    return scores, boxes


def _largest(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference; infinite if there are more or fewer values, NaN if one is NaN."""
    if ours.shape != theirs.shape:
        return math.inf
    return float((ours - theirs).abs().max()) if ours.numel() > 0 else 0.0


def need_packages(*packages: str) -> None:
    """Raise InputError for a package that cannot be imported, with the command that installs it."""
    for package in packages:
        try:
            __import__(package)
        except ImportError as error:
            raise InputError(
                f"ONNX needs the package {package}, which cannot be imported ({reason(error)}).\n"
                "Install what ONNX needs with `pip install onnx onnxscript onnxruntime`."
            ) from error
