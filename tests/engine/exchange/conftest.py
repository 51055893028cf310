"""A small detector and its ONNX file, created once per session."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_detector import make_detector

from frcnn_cli.engine.exchange.export import export_onnx
from frcnn_cli.engine.network.model import FastRCNN


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
