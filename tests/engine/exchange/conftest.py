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
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    export_onnx(detector, path, "small.safetensors")
    return path
