"""Export models for other runtimes: to ONNX files and torch.export programs (.pt2)."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as tracing

from frcnn_cli.engine.exchange.export_path import Format
from frcnn_cli.engine.exchange.exported import (
    INPUTS,
    KEY,
    OUTPUTS,
    ExportedDetector,
    describe,
    example_inputs,
)
from frcnn_cli.engine.models.provenance import stored_experiment
from frcnn_cli.engine.models.store import load_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.files import write_whole

# Since opset 22, MaxRoiPool rounds RoIs differently from the paper's code.
OPSET = 20
LARGEST = 2**31 - 1  # largest protobuf message, in bytes
# Largest allowed difference between a model and its export: scores, and boxes in pixels.
TOLERANCE = 1e-3
_DEFAULT_SETTINGS = DetectSettings()
Runner = Callable[[tuple[Tensor, ...]], tuple[Tensor, Tensor]]


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


def export_model(
    source: Path,
    path: Path,
    kind: Format = "onnx",
    plain: bool = False,
    reporter: Reporter = SILENT,
) -> Export:
    """Write the model in the file `source` to `path` for other runtimes, and compare the results.

    plain: for ONNX, build RoI pooling from basic operators, for runtimes without MaxRoiPool; a
    torch export always does. The file contains the model's settings of detection; if the model
    selects RoIs, their number is one of them. Raises InputError if a package is missing or the
    model is too large for the format.
    """
    model, origin = load_model(source)
    detect = stored_experiment(origin, model.architecture).detect
    with reporter.progress("Exporting", None):
        if kind == "onnx":
            export_onnx(model, path, source.name, plain, detect)
        else:
            export_torch(model, path, source.name, detect)
    runner = onnx_runner(path) if kind == "onnx" else torch_runner(path)
    scores, boxes = largest_difference(model, runner, detect.max_proposals)
    return Export(path, OPSET if kind == "onnx" else None, scores, boxes)


def export_torch(
    model: FastRCNN, path: Path, name: str, detect: DetectSettings = _DEFAULT_SETTINGS
) -> None:
    """Write a torch.export program with RoI pooling from basic operators, which needs only torch.

    The extra file `frcnn` contains its description. name: name of the model for the description.
    """
    program = _program(model, True, detect.max_proposals)
    content = io.BytesIO()
    description = describe(model.architecture, name, detect)
    torch.export.save(program, content, extra_files={KEY: description})
    write_whole(path, content.getvalue())


def export_onnx(
    model: FastRCNN,
    path: Path,
    name: str,
    plain: bool = False,
    detect: DetectSettings = _DEFAULT_SETTINGS,
) -> None:
    """Write an ONNX file of opset 20 with RoI pooling by MaxRoiPool, or by basic operators.

    The metadata property `frcnn` contains its description. Raises InputError if the onnx packages
    are not installed or the model exceeds the 2 GiB of an ONNX file.
    """
    _need("onnx", "onnxscript")
    size = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    if size > LARGEST:
        raise InputError(
            f"{path}: the model has {size:,} bytes, more than the 2 GiB of an ONNX file."
        )
    program = _program(model, plain, detect.max_proposals)
    with _quiet():
        exported = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            output_names=list(OUTPUTS),
            custom_translation_table={torch.ops.frcnn.roi_pool_infer.default: _max_roi_pool()},
            verbose=False,
        )
    assert exported is not None
    exported.model.metadata_props[KEY] = describe(model.architecture, name, detect)
    write_whole(path, exported.model_proto.SerializeToString())


def onnx_runner(path: Path) -> Runner:
    """A function that runs an ONNX file. Raises InputError if onnxruntime is not installed."""
    _need("onnxruntime")
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        arrays = {name: value.numpy() for name, value in zip(INPUTS, inputs, strict=True)}
        scores, boxes = session.run(OUTPUTS, arrays)
        return torch.from_numpy(scores), torch.from_numpy(boxes)

    return run


def torch_runner(path: Path) -> Runner:
    """A function that runs an exported program."""
    program: Any = torch.export.load(path).module()
    return lambda inputs: program(*inputs)


def largest_difference(
    model: FastRCNN, run: Runner, max_proposals: int = DetectSettings().max_proposals
) -> tuple[float, float]:
    """Largest differences of scores and of boxes (pixels) on a generated image.

    A model that selects RoIs gets twice as many proposals as it selects.
    """
    others = 2 * max_proposals if model.architecture.selects_rois else 0
    inputs = example_inputs(model.architecture, others)
    with torch.inference_mode():
        original = ExportedDetector(model, False, max_proposals)
        ours, theirs = original(*inputs), run(inputs)
        scores, boxes = (float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True))
    return scores, boxes


def _program(model: FastRCNN, plain: bool, max_proposals: int) -> ExportedProgram:
    """Trace the detector, for images of any size and any number of proposals.

    By default, torch assumes that no size that depends on an input is 1, and the program rejects
    images whose coarsest feature map has one row or column.
    """
    shapes: Any = ({0: Dim.AUTO, 1: Dim.AUTO}, {0: Dim.AUTO}, {}, {})
    sizes_of_one: Any = tracing.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]
    with torch.no_grad(), _quiet(), sizes_of_one, _contiguous_weights(model):
        detector = ExportedDetector(model, plain, max_proposals)
        return torch.export.export(
            detector, example_inputs(model.architecture), dynamic_shapes=shapes
        )


@contextlib.contextmanager
def _contiguous_weights(model: nn.Module) -> Iterator[None]:
    """Make the parameters contiguous within the block.

    A map of one row or column is contiguous and channels last at once, so that torch would make
    the tracing of channels last depend on the size. A program that was traced within the block
    has the same parameters as the model, and thus its memory layout, after the block.
    """
    before = [(parameter, parameter.data) for parameter in model.parameters()]
    try:
        for parameter, data in before:
            # `contiguous` would not change a 1 x 1 kernel that is channels last too.
            parameter.data = data.to(memory_format=torch.contiguous_format)
        yield
    finally:
        for parameter, data in before:
            parameter.data = data


def _max_roi_pool() -> Callable[..., Any]:
    """The ONNX translation of our operator: MaxRoiPool takes the same features, RoIs and scale."""
    from onnxscript import opset20

    def translate(features: Any, rois: Any, height: int, width: int, spatial_scale: float) -> Any:
        return opset20.MaxRoiPool(
            features, rois, pooled_shape=[height, width], spatial_scale=spatial_scale
        )

    return translate


def _need(*packages: str) -> None:
    for package in packages:
        try:
            __import__(package)
        except ImportError as error:
            raise InputError(
                f"ONNX needs the package {package}, which cannot be imported ({reason(error)}).\n"
                "Install what ONNX needs with `pip install onnx onnxscript onnxruntime`."
            ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporter's messages about its passes, which do not concern users."""
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            open(os.devnull, "w") as null,
            contextlib.redirect_stdout(null),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
