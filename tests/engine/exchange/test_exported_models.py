"""Exported models return the same as score_boxes in every runtime."""

from __future__ import annotations

import configparser
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_detector import inputs_of, make_detector, proposals_in

from frcnn_cli.engine.detection.image import score_boxes
from frcnn_cli.engine.exchange import export
from frcnn_cli.engine.exchange.comparison import (
    Export,
    largest_difference,
    onnx_runner,
    torch_runner,
)
from frcnn_cli.engine.exchange.export import export_onnx, export_torch
from frcnn_cli.engine.exchange.exported import ExportedDetector
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, Preprocessing
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.images import read_image

REPOSITORY = Path(__file__).resolve().parents[3]
DOCS = REPOSITORY / "docs"
Image = NDArray[np.uint8]


def real_images(shared_data: Path) -> list[Image]:
    """Photographs, wide and tall, with sides that are not multiples of the stride."""
    folder = shared_data / "fast-rcnn-demo"
    images = [read_image(path) for path in sorted(folder.glob("*.jpg"))]
    return [*images, np.ascontiguousarray(images[0].transpose(1, 0, 2)), images[1][:97, :41]]


def page_script() -> str:
    """The script of the docs page."""
    code = re.search(r"```python\n(import csv.*?)```", (DOCS / "export.md").read_text(), re.DOTALL)
    assert code is not None
    return code[1]


def script() -> dict[str, Any]:
    """The names defined by the script of the docs page."""
    names: dict[str, Any] = {"__name__": "run_onnx"}
    exec(compile(page_script(), "docs/export.md", "exec"), names)
    return names


def test_onnx_returns_the_same_on_real_images(
    resizing: tuple[FastRCNN, Path], shared_data: Path
) -> None:
    detector, path = resizing
    run = onnx_runner(path)
    for count, image in zip((300, 40, 1, 7), real_images(shared_data), strict=True):
        boxes = proposals_in(image, count)
        scores, decoded = score_boxes(detector, image, Proposals(boxes))
        found = run(inputs_of(image, boxes, detector.architecture.preprocessing))
        torch.testing.assert_close(found[0], scores, rtol=0, atol=1e-3)
        torch.testing.assert_close(found[1], decoded, rtol=0, atol=1e-3)
        if count > 1:
            assert scores.std(dim=0).max() > 0.01  # scores depend on the RoI


def test_rois_vote_in_exported_models_too(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    weak = {"classifier": "wsddn", "box_regression": False}
    voting, plain = make_detector(**weak, voting=True), make_detector(**weak)
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    boxes = proposals_in(image)
    scores, _ = score_boxes(voting, image, Proposals(boxes))
    assert (scores - score_boxes(plain, image, Proposals(boxes))[0]).abs().max() > 1e-3
    export_onnx(voting, tmp_path / "votes.onnx", "small.safetensors")
    run = onnx_runner(tmp_path / "votes.onnx")
    for count in (40, 9, 1):
        found = run(inputs_of(image, boxes[:count], voting.architecture.preprocessing))
        expected, _ = score_boxes(voting, image, Proposals(boxes[:count]))
        torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-4)


def test_the_script_in_the_docs_returns_the_same(
    resizing: tuple[FastRCNN, Path], shared_data: Path
) -> None:
    """Its resized pixels equal OpenCV's, except for a few in a thousand, which differ by 1."""
    import onnxruntime

    names, (detector, path) = script(), resizing
    session = onnxruntime.InferenceSession(path)
    model = json.loads(session.get_modelmeta().custom_metadata_map["frcnn"])
    for image in real_images(shared_data):
        resized = names["resize"](image, 111, 77)
        theirs = cv2.resize(image, (77, 111), interpolation=cv2.INTER_LINEAR)
        assert np.abs(resized.astype(int) - theirs).max() <= 1
        assert (resized != theirs).mean() < 0.003
        whole = image.astype(np.float32)
        exact = cv2.resize(whole, None, fx=0.437, fy=0.437, interpolation=cv2.INTER_LINEAR)
        found = names["resize_exactly"](image, *exact.shape[:2], 0.437)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, exact, atol=0.01)
        boxes = proposals_in(image)
        scores, decoded = score_boxes(detector, image, Proposals(boxes))
        found = session.run(["scores", "decoded"], names["inputs_for"](model, image, boxes))
        np.testing.assert_allclose(found[0], scores.numpy(), atol=2e-3)
        np.testing.assert_allclose(found[1], decoded.numpy(), atol=0.1)


def test_the_script_in_the_docs_rejects_a_box_that_is_not_finite() -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    with pytest.raises(ValueError, match="a proposal is not finite"):
        script()["inputs_for"]({}, image, np.array([[0, 0, np.nan, 9]]))


def test_the_file_contains_its_description(onnx_file: Path) -> None:
    import onnx

    model = onnx.load(onnx_file)
    pooling = [node for node in model.graph.node if node.op_type == "MaxRoiPool"]
    assert len(pooling) == 1
    assert {opset.domain: opset.version for opset in model.opset_import}[""] == 20
    properties = {entry.key: entry.value for entry in model.metadata_props}
    described = json.loads(properties["frcnn"])
    assert described["classes"] == ["cat", "dog", "häuser"]
    assert described["box_coding"] == "caffe"
    assert described["preprocessing"]["channels"] == "bgr"
    assert described["ranks"] == {"fc6": 8, "fc7": 5}
    assert [value.name for value in model.graph.input] == list(described["inputs"])
    assert [value.name for value in model.graph.output] == list(described["outputs"])
    dimensions = [value.type.tensor_type.shape.dim for value in model.graph.input]
    assert not dimensions[0][0].dim_value
    assert not dimensions[0][1].dim_value
    assert not dimensions[1][0].dim_value


def test_a_torch_program_returns_the_same_and_needs_only_torch(
    detector: FastRCNN, tmp_path: Path, shared_data: Path
) -> None:
    path = tmp_path / "small.pt2"
    export_torch(detector, path, "small.safetensors")
    assert max(largest_difference(detector, torch_runner(path))) <= 1e-3
    image = real_images(shared_data)[3]
    boxes = proposals_in(image)
    np.savez(tmp_path / "in.npz", image=image, boxes=boxes)
    code = """
import json, sys
sys.modules.update(dict.fromkeys(["cv2", "torchvision", "frcnn_cli", "frcnn_kernels"]))
import numpy as np, torch
extra = {"frcnn": ""}
program = torch.export.load("small.pt2", extra_files=extra).module()
given = np.load("in.npz")
size = torch.tensor(given["image"].shape[:2])
image, boxes = torch.from_numpy(given["image"]), torch.from_numpy(given["boxes"])
scores, decoded = program(image, boxes, torch.tensor(1.0), size)
np.savez("out.npz", scores=scores.detach(), decoded=decoded.detach())
print(json.loads(extra["frcnn"])["classes"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "häuser" in done.stdout
    found = np.load(tmp_path / "out.npz")
    # At scale 1, the image is not resized.
    with torch.inference_mode():
        inputs = torch.from_numpy(image), torch.from_numpy(boxes), torch.tensor(1.0)
        expected = ExportedDetector(detector, plain=False)(*inputs, torch.tensor(image.shape[:2]))
    np.testing.assert_allclose(found["scores"], expected[0].numpy(), atol=1e-3)
    np.testing.assert_allclose(found["decoded"], expected[1].numpy(), atol=1e-3)


@pytest.fixture(scope="module", params=["MaxRoiPool", "plain", "torch"])
def runner(
    request: pytest.FixtureRequest,
    detector: FastRCNN,
    tmp_path_factory: pytest.TempPathFactory,
    onnx_file: Path,
) -> Any:
    """A function that runs the small detector, exported in each format."""
    folder = tmp_path_factory.mktemp("runner")
    if request.param == "MaxRoiPool":
        return onnx_runner(onnx_file)
    if request.param == "plain":
        export_onnx(detector, folder / "plain.onnx", "a", plain=True)
        return onnx_runner(folder / "plain.onnx")
    export_torch(detector, folder / "a.pt2", "a")
    return torch_runner(folder / "a.pt2")


def test_any_number_of_rois_in_images_of_any_size(runner: Any, detector: FastRCNN) -> None:
    """Zero, one and many RoIs; small, wide and tall images."""
    draw = np.random.default_rng(1)
    original = ExportedDetector(detector, plain=False)
    for height, width in ((64, 64), (65, 200), (233, 90), (13, 300), (1, 120), (200, 1), (1, 1)):
        image = draw.integers(0, 256, (height, width, 3)).astype(np.uint8)
        for count in (0, 1, 2, 60):
            given = (
                torch.from_numpy(image),
                torch.from_numpy(proposals_in(image, count)),
                torch.tensor(1.0),
                torch.tensor([height, width]),
            )
            scores, boxes = (torch.as_tensor(output) for output in runner(given))
            assert scores.shape == (count, 4)
            assert boxes.shape == (count, 3, 4)
            with torch.inference_mode():
                expected = original(*given)
            torch.testing.assert_close(scores, expected[0], rtol=0, atol=1e-3)
            torch.testing.assert_close(boxes, expected[1], rtol=0, atol=1e-3)


def test_a_box_that_is_not_finite_gets_no_result_and_changes_no_other(runner: Any) -> None:
    """`detect` rejects such a box."""
    image = np.random.default_rng(2).integers(0, 256, (90, 120, 3)).astype(np.uint8)
    boxes = torch.from_numpy(proposals_in(image, 6))
    size = torch.tensor(image.shape[:2])
    expected = runner((torch.from_numpy(image), boxes, torch.tensor(1.0), size))
    broken = boxes.clone()
    broken[1, 0], broken[3, 3], broken[4] = math.nan, math.inf, -math.inf
    found = runner((torch.from_numpy(image), broken, torch.tensor(1.0), size))
    for values, others in zip(found, expected, strict=True):
        assert values[[1, 3, 4]].isnan().all()
        torch.testing.assert_close(values[[0, 2, 5]], others[[0, 2, 5]], rtol=0, atol=1e-5)
    with pytest.raises((RuntimeError, InputError, MisuseError)):
        score_boxes(make_detector(), image, Proposals(broken.numpy()))


@pytest.fixture(scope="module")
def lite_runner(tmp_path_factory: pytest.TempPathFactory) -> tuple[FastRCNN, Any]:
    """A detector in channels last with a map of stride 32 in its backbone, as a torch program."""
    torch.manual_seed(0)
    pixels = Preprocessing(scale=64, max_size=1000)
    model = FastRCNN(Architecture("efficientnet_lite0", ("a", "b"), (8, 8), pixels)).eval()
    model.to(memory_format=torch.channels_last)
    path = tmp_path_factory.mktemp("lite") / "a.pt2"
    layouts = [parameter.stride() for parameter in model.parameters()]
    export_torch(model, path, "a")
    assert [parameter.stride() for parameter in model.parameters()] == layouts
    return model, torch_runner(path)


@pytest.mark.parametrize(("height", "width"), [(1, 5000), (3000, 40), (33, 32), (5, 7)])
def test_a_torch_program_takes_images_smaller_than_its_stride(
    lite_runner: tuple[FastRCNN, Any], height: int, width: int
) -> None:
    model, run = lite_runner
    image = np.random.default_rng(3).integers(0, 256, (height, width, 3)).astype(np.uint8)
    boxes = proposals_in(image, 9)
    expected = score_boxes(model, image, Proposals(boxes))
    found = run(inputs_of(image, boxes, model.architecture.preprocessing))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)


@pytest.mark.long
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    "changes",
    [{"classifier": "svm"}, {"box_regression": False}, {"box_coding": "inclusive"}],
    ids=["svm", "no-boxes", "inclusive"],
)
def test_every_kind_of_model(tmp_path: Path, plain: bool, changes: dict[str, Any]) -> None:
    model = make_detector(**changes)
    export_onnx(model, tmp_path / "a.onnx", "a", plain)
    assert max(largest_difference(model, onnx_runner(tmp_path / "a.onnx"))) <= 1e-3


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_without_a_package_the_error_says_what_to_install(
    detector: FastRCNN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    extra = " ".join(setup["options.extras_require"]["export"].split())
    monkeypatch.setitem(sys.modules, package, None)
    path = tmp_path / "a.onnx"
    with pytest.raises(InputError, match=rf"the package {package}, .*\n.*`pip install {extra}`"):
        onnx_runner(path) if package == "onnxruntime" else export_onnx(detector, path, "a")
    assert not list(tmp_path.iterdir())


def test_a_model_over_two_gigabytes_is_rejected_before_the_export(
    detector: FastRCNN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "LARGEST", 1000)
    with pytest.raises(InputError, match="more than the 2 GiB"):
        export_onnx(detector, tmp_path / "a.onnx", "a")


@pytest.mark.parametrize(
    ("scores", "boxes", "agrees"),
    [(1e-6, 1e-4, True), (2e-3, 0.0, False), (0.0, 2e-3, False), (0.0, float("nan"), False)],
)
def test_an_export_agrees_if_both_differences_are_small(
    scores: float, boxes: float, agrees: bool
) -> None:
    assert Export(Path("a.onnx"), 20, scores, boxes).agrees == agrees
