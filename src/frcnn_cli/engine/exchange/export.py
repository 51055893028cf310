"""Export models for other runtimes: to ONNX files and torch.export programs (.pt2)."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as tracing

from frcnn_cli.engine.detection.image import settings_for
from frcnn_cli.engine.exchange.comparison import (
    Export,
    largest_difference,
    need_packages,
    onnx_runner,
    torch_runner,
)
from frcnn_cli.engine.exchange.export_path import Format
from frcnn_cli.engine.exchange.exported import (
    KEY,
    NMS_OUTPUTS,
    OUTPUTS,
    describe,
    example_inputs,
)
from frcnn_cli.engine.exchange.exported_nms import check_nms_settings, exported_module
from frcnn_cli.engine.models.provenance import stored_experiment
from frcnn_cli.engine.models.store import load_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import DetectSettings
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_proposals.errors import InputError
from frcnn_proposals.files import write_whole

# Since opset 22, MaxRoiPool rounds RoIs differently from the paper's code.
OPSET = 20
LARGEST = 2**31 - 1  # largest protobuf message, in bytes
_DEFAULT_SETTINGS = DetectSettings()


def export_model(
    source: Path,
    path: Path,
    kind: Format = "onnx",
    plain: bool = False,
    with_nms: bool = False,
    options: DetectionOptions | None = None,
    reporter: Reporter = SILENT,
) -> Export:
    """Write the model in the file `source` to `path` for other runtimes, and compare the results.

    plain: for ONNX, build RoI pooling from basic operators, for runtimes without MaxRoiPool; a
    torch export always does. with_nms: also return the detections of `frcnn detect`. options:
    changes to the model's settings of detection, which the file contains. Raises InputError if a
    package is missing or the model is too large for the format, and MisuseError if with_nms does
    not support a setting.
    """
    model, origin = load_model(source)
    stored = stored_experiment(origin, model.architecture, source).detect
    settings = settings_for(model, stored, options)
    if with_nms:
        check_nms_settings(settings)
    with reporter.progress("Exporting", None):
        if kind == "onnx":
            export_onnx(model, path, source.name, plain, settings, with_nms)
        else:
            export_torch(model, path, source.name, settings, with_nms)
    runner = onnx_runner(path) if kind == "onnx" else torch_runner(path)
    scores, boxes = largest_difference(model, runner, settings, with_nms)
    return Export(path, OPSET if kind == "onnx" else None, scores, boxes)


def export_torch(
    model: FastRCNN,
    path: Path,
    name: str,
    settings: DetectSettings = _DEFAULT_SETTINGS,
    with_nms: bool = False,
) -> None:
    """Write a torch.export program with RoI pooling from basic operators, which needs only torch.

    The extra file `frcnn` contains its description. name: name of the model for the description.
    """
    program = _program(model, True, settings, with_nms)
    content = io.BytesIO()
    description = describe(model.architecture, name, settings, with_nms)
    torch.export.save(program, content, extra_files={KEY: description})
    write_whole(path, content.getvalue())


def export_onnx(
    model: FastRCNN,
    path: Path,
    name: str,
    plain: bool = False,
    settings: DetectSettings = _DEFAULT_SETTINGS,
    with_nms: bool = False,
) -> None:
    """Write an ONNX file of opset 20 with RoI pooling by MaxRoiPool, or by basic operators.

    The metadata property `frcnn` contains its description. Raises InputError if the onnx packages
    are not installed or the model exceeds the 2 GiB of an ONNX file.
    """
    need_packages("onnx", "onnxscript")
    size = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    if size > LARGEST:
        raise InputError(
            f"{path}: the model has {size:,} bytes, more than the 2 GiB of an ONNX file."
        )
    program = _program(model, plain, settings, with_nms)
    with _quiet():
        exported = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            output_names=list(NMS_OUTPUTS if with_nms else OUTPUTS),
            custom_translation_table={
                torch.ops.frcnn.roi_pool_infer.default: _max_roi_pool(),
                torch.ops.aten.sort.stable: _stable_sort(),
            },
            verbose=False,
        )
    assert exported is not None
    description = describe(model.architecture, name, settings, with_nms)
    exported.model.metadata_props[KEY] = description
    write_whole(path, exported.model_proto.SerializeToString())


def _program(
    model: FastRCNN, plain: bool, settings: DetectSettings, with_nms: bool
) -> ExportedProgram:
    """Trace the detector, for images of any size and any number of proposals.

    By default, torch assumes that no size that depends on an input is 1, and the program rejects
    images whose coarsest feature map has one row or column.
    """
    shapes: Any = ({0: Dim.AUTO, 1: Dim.AUTO}, {0: Dim.AUTO}, {}, {})
    sizes_of_one: Any = tracing.patch(backed_size_oblivious=True)  # type: ignore[attr-defined]
    with torch.no_grad(), _quiet(), sizes_of_one, _contiguous_weights(model):
        detector = exported_module(model, plain, settings, with_nms)
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


def _stable_sort() -> Callable[..., Any]:
    """The ONNX translation of a stable sort: of equal values, TopK returns the first ones first."""
    from onnxscript import opset20

    def translate(values: Any, *, stable: bool, dim: int = -1, descending: bool = False) -> Any:
        assert stable
        assert descending
        axis: Any = opset20.Constant(value_ints=[dim])
        return opset20.TopK(values, opset20.Gather(opset20.Shape(values), axis, axis=0), axis=dim)

    return translate


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
