"""A small detector and its ONNX files, created once per session."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_detector import Complete, make_detector, make_parts, stored_model

import frcnn
from frcnn_cli.engine.exchange.export import export_onnx
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import DetectSettings


@pytest.fixture(scope="session")
def detector() -> FastRCNN:
    return make_detector()


@pytest.fixture(scope="session")
def onnx_file(detector: FastRCNN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(detector, tmp_path_factory)


@pytest.fixture(scope="session", params=["uint8", "float32"])
def resizing(
    request: pytest.FixtureRequest,
    detector: FastRCNN,
    onnx_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[FastRCNN, Path]:
    """The detector and its file, with each kind of resizing."""
    if request.param == "uint8":
        return detector, onnx_file
    exact = make_detector("float32")
    return exact, exported(exact, tmp_path_factory)


def exported(model: FastRCNN, folders: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    path = folders.mktemp("onnx") / "small.onnx"
    export_onnx(model, path, "small.safetensors")
    return path


@pytest.fixture(scope="session")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Complete:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("complete")
    # All limits take effect, and the model's threshold is not the default.
    detect = DetectSettings(
        score_threshold=0.2, max_per_class=20, top_k=25, proposals=120, max_proposals=50,
        box_voting=0.5,
    )  # fmt: skip
    model = stored_model(make_parts(cascade=True, ranker=True), folder / "a.safetensors", detect)
    exported = frcnn.export(model, folder / "a.onnx", with_nms=True)
    return Complete(frcnn.Detector.load(model), exported.path)
