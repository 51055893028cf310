"""`frcnn explain` and frcnn.explain: the page, the ground truth, and errors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from called import frcnn as command

import frcnn
from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, Preprocessing
from frcnn_proposals.base import Proposals
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.writer import StoreWriter

IMAGE = "shapes/JPEGImages/000003.jpg"
XML = "shapes/Annotations/000003.xml"
COMMON = ("--model", "model.safetensors", "--source", "dense")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset and an untrained model of its classes."""
    folder = tmp_path_factory.mktemp("home")
    generate_dataset(folder / "shapes", images=8, size=(128, 96))
    classes = find_dataset(str(folder / "shapes"), "trainval").classes
    torch.manual_seed(0)
    small = Preprocessing(scale=64, max_size=120)
    model = FastRCNN(Architecture("efficientnet_lite0", classes, (24, 16), small))
    save_model(model, folder / "model.safetensors", {})
    return folder


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


def run(*arguments: object, code: int = 0) -> str:
    result = command("explain", *arguments)
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def numbers_in(page: Path) -> dict[str, Any]:
    found = re.search(r'id="numbers">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert found is not None
    numbers: dict[str, Any] = json.loads(found[1])
    return numbers


def boxes_of(numbers: dict[str, Any]) -> list[list[float]]:
    return [roi["box"] for roi in numbers["page"]["chosen"]]


def test_the_page_and_its_numbers(tmp_path: Path) -> None:
    output = run(IMAGE, *COMMON, "--out", tmp_path / "page", "--json", tmp_path / "numbers.json")
    page = tmp_path / "page" / "index.html"
    assert f"Page: {page}" in output.replace(" ", "").replace("Page:", "Page: ")
    assert page.stat().st_size < 10_000_000
    numbers = numbers_in(page)
    assert numbers == json.loads((tmp_path / "numbers.json").read_text())
    assert numbers["page"]["image"] == {"id": "000003", "width": 128, "height": 96}
    assert all(f'<section id="{name}"' in page.read_text() for name in numbers if name != "page")


def test_ground_truth_from_a_file_a_dataset_and_python(tmp_path: Path) -> None:
    run(IMAGE, *COMMON, "--truth", XML, "--out", tmp_path / "xml")
    run("000003", *COMMON, "--dataset", "shapes", "--out", tmp_path / "id")
    run(IMAGE, *COMMON, "--dataset", "shapes", "--out", tmp_path / "file")
    page = frcnn.explain(
        IMAGE, "model.safetensors", truth=XML, source="dense", out=tmp_path / "python"
    )
    assert page == tmp_path / "python" / "index.html"
    expected = numbers_in(page)
    for name in ("xml", "id", "file"):
        assert numbers_in(tmp_path / name / "index.html") == expected
    best = [roi for roi in expected["page"]["chosen"] if roi["kind"] == "best"]
    truth = next(
        image.truth
        for split in ("trainval", "test")
        for image in find_dataset("shapes", split).images
        if image.image_id == "000003"
    )
    assert 0 < len(best) <= len(truth)
    run(IMAGE, *COMMON, "--out", tmp_path / "none")
    assert numbers_in(tmp_path / "none" / "index.html") != expected


def test_proposals_from_a_file(tmp_path: Path) -> None:
    boxes = np.array([[0, 0, 60, 60], [20, 10, 90, 80]], np.float32)
    file = tmp_path / "boxes.proposals"
    with StoreWriter(file, Provenance("mine")) as writer:
        writer.add("000003", Proposals(boxes), size=(128, 96))
        writer.finish()
    run(IMAGE, "--model", "model.safetensors", "--proposals", file, "--out", tmp_path / "page")
    page = tmp_path / "page" / "index.html"
    assert sorted(boxes_of(numbers_in(page))) == sorted(boxes.tolist())
    assert "here 2 from <bdi>boxes.proposals</bdi>" in page.read_text()


def test_errors(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.xml"
    wrong.write_text(Path(XML).read_text().replace("<width>128<", "<width>640<"))
    other = tmp_path / "other.xml"
    other.write_text(re.sub(r"<name>.*?</name>", "<name>dragon</name>", Path(XML).read_text()))
    classes = find_dataset("shapes", "test").classes
    assert "dragon" not in classes
    out = ("--out", tmp_path)
    for arguments, code, message in (
        (("nowhere.jpg",), 1, "nowhere.jpg"),
        ((IMAGE, "--truth", "nowhere.xml"), 2, "nowhere.xml: this annotation does not exist"),
        ((IMAGE, "--truth", XML, "--dataset", "shapes"), 2, "give only one"),
        ((IMAGE, "--split", "test"), 2, "no effect without a dataset"),
        (("00003", "--dataset", "shapes"), 2, "no such image. Did you mean"),
        ((IMAGE, "--truth", wrong), 1, "annotated as 640 x 96"),
        ((IMAGE, "--truth", other), 1, "unknown class"),
        (("shapes",), 1, "shapes: is not a file; pass the images inside it"),
    ):
        assert message in run(*arguments, *COMMON, *out, code=code)
    assert not (tmp_path / "index.html").exists()


def test_a_dataset_of_other_classes(tmp_path: Path) -> None:
    generate_dataset(tmp_path / "others", images=8, size=(128, 96))
    for file in (tmp_path / "others").rglob("*"):
        if file.suffix == ".xml" or file.name == "classes.txt":
            text = file.read_text()
            for name in find_dataset("shapes", "test").classes:
                text = text.replace(name, f"{name}s")
            file.write_text(text)
    message = run("000003", *COMMON, "--dataset", tmp_path / "others", "--out", tmp_path, code=2)
    assert "Evaluate on the dataset that the model was trained for" in message
