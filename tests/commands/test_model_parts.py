"""Training with a second head and a ranker, and the commands that use such a model."""

from __future__ import annotations

import configparser
import json
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from called import frcnn

from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.detection.views import rank_proposals
from frcnn_cli.engine.models.store import load_model
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Source
from frcnn_proposals.images import read_image
from frcnn_proposals.sources import registry
from frcnn_proposals.sources.dense import DenseBoxes
from frcnn_proposals.store.reader import open_store

SETUP = Path(__file__).parents[2] / "setup.cfg"
SMALL = ("--weights", "none", "--scale", 64, "--workers", 0, "--iterations", 3)


def words(*arguments: object, code: int = 0) -> str:
    result = frcnn(*arguments)
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, a run with both parts, and one without."""
    folder = tmp_path_factory.mktemp("parts")
    generate_dataset(folder / "shapes", images=12, seed=1, size=(128, 96))
    given = (folder / "shapes", "--source", "dense", *SMALL, "--set", "train.proposals=300")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRCNN_CACHE", str(folder / "cache"))
        words("train", *given, "--out", folder / "both")
        words("train", *given, "--variant", "one-head", "--out", folder / "plain")
    return folder


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in `home`; the entry points are those of setup.cfg, installed or not."""
    monkeypatch.chdir(home)
    monkeypatch.setenv("FRCNN_CACHE", str(home / "cache"))
    setup = configparser.ConfigParser()
    setup.read(SETUP, encoding="utf-8")
    name, _, value = setup["options.entry_points"][registry.ENTRY_POINT_GROUP].partition("=")
    point = EntryPoint(name.strip(), value.strip(), registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: (point,))


def test_the_model_has_both_parts(home: Path) -> None:
    model, origin = load_model(home / "both" / "model.safetensors")
    assert (model.architecture.cascade, model.architecture.ranker) == (True, True)
    assert origin["experiment"]["train"]["cascade_iou"] == 0.6
    assert origin["experiment"]["train"]["ranked_rois"] == 256
    assert not load_model(home / "plain" / "model.safetensors")[0].architecture.selects_rois


@pytest.mark.parametrize("other", ["svm", "stagewise", "no-bbox-reg"])
def test_variants_without_what_the_second_head_needs_are_rejected(other: str) -> None:
    told = words("config", "show", "--variant", "cascade", "--variant", other, code=2)
    assert f"Variant cascade and variant {other} cannot be combined" in told


@pytest.mark.parametrize(
    "setting", ["train.classifier=svm", "train.box_training=stagewise", "train.box_training=none"]
)
def test_settings_without_what_the_second_head_needs_are_rejected(setting: str) -> None:
    told = words("config", "show", "--set", setting, code=2)
    assert "The second head of the cascade requires" in told
    assert "cascade_iou 0 turns it off" in told


@pytest.mark.parametrize("other", ["svm", "stagewise", "no-bbox-reg", "fc-only", "cascade"])
def test_a_ranker_goes_with_the_other_variants(other: str) -> None:
    words("config", "show", "--variant", "ranked", "--variant", other)


def test_model_info_names_the_parts() -> None:
    told = words("model", "info", "both")
    for part in ("ranker.hidden", "second.fc6", "second head, ranker", "best 300"):
        assert part in told
    assert "further parts" not in words("model", "info", "plain")


def test_max_proposals_changes_detections_of_a_model_with_a_ranker(home: Path) -> None:
    found = []
    for count in (3, 300):
        words(
            "detect", "shapes/JPEGImages/000001.jpg", "--model", "both", "--source", "dense",
            "--score-threshold", 0, "--max-proposals", count, "--json", f"{count}.json",
        )  # fmt: skip
        found.append(len(json.loads((home / f"{count}.json").read_text())))
    classes = len(load_model(home / "both" / "model.safetensors")[0].architecture.classes)
    assert found[0] <= 3 * classes < found[1]


@pytest.mark.parametrize("command", [("detect", "shapes/JPEGImages/000001.jpg"), ("eval",)])
def test_max_proposals_of_another_model_is_rejected(command: tuple[str, ...]) -> None:
    model = ("--model", "plain") if command[0] == "detect" else ("plain", "shapes")
    told = words(*command, *model, "--source", "dense", "--max-proposals", 5, code=2)
    assert "neither a ranker nor a second head" in told


def test_the_source_orders_the_boxes_of_another(home: Path) -> None:
    model = ("--param", "model=both", "--param", "source=dense")
    words(
        "propose", "shapes/JPEGImages", "--source", "ranked", *model, "--workers", 1,
        "--param", 'parameters={"step": 0.5}', "--out", "ranked.proposals",
    )  # fmt: skip
    store = open_store(home / "ranked.proposals")
    assert store.provenance.source == "ranked"
    parameters = store.provenance.parameters
    assert parameters["model"] == "model.safetensors"  # no path of this machine
    assert parameters["source"] == "dense"
    assert parameters["parameters"]["step"] == 0.5
    image = read_image(home / "shapes" / "JPEGImages" / "000001.jpg")
    boxes = DenseBoxes(step=0.5).propose(image).boxes
    found = store["000001"]
    assert sorted(map(tuple, found.boxes.tolist())) == sorted(map(tuple, boxes.tolist()))
    assert found.scores is not None
    assert (np.diff(found.scores) <= 0).all()
    assert found.scores[0] > 0 > found.scores[-1]
    network, _ = load_model(home / "both" / "model.safetensors")
    expected = rank_proposals(network.eval(), image, boxes, DetectSettings())
    assert expected.scores is not None
    # The source uses a prepared model, whose last digits differ.
    assert found.scores[:20] == pytest.approx(expected.scores[:20], abs=1e-4)


def test_the_source_orders_the_boxes_of_a_file(home: Path) -> None:
    """They are found by image id, which only the command knows."""
    words("propose", "shapes/JPEGImages", "--source", "dense", "--out", "boxes.proposals")
    words(
        "propose", "shapes/JPEGImages", "--source", "ranked", "--workers", 1,
        "--param", "model=both", "--param", "source=precomputed",
        "--param", 'parameters={"file": "boxes.proposals"}', "--out", "ranked-file.proposals",
    )  # fmt: skip
    given, ranked = open_store(home / "boxes.proposals"), open_store(home / "ranked-file.proposals")
    for image_id in ("000001", "000002"):
        boxes, found = given[image_id].boxes.tolist(), ranked[image_id].boxes.tolist()
        assert sorted(boxes) == sorted(found)
        assert boxes != found


def test_recall_shows_the_counts_that_orders_are_compared_by(home: Path) -> None:
    words("propose", "shapes/JPEGImages", "--source", "dense", "--out", "dense.proposals")
    recall = ("recall", "dense.proposals", "--dataset", "shapes", "--split", "trainval")
    words("proposals", *recall, "--allow-mismatch", "--json", "recall.json")
    rows = json.loads((home / "recall.json").read_text())["all"]["against_boxes"]
    assert {10, 100, 300, 1000} <= {row["boxes"] for row in rows}
    assert all("average_recall" in row for row in rows)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ((), "missing a required argument: 'model'"),
        (("model=plain",), "this model has no ranker"),
        (("model=both", "source=edges"), "unknown proposal source 'edges'"),
        (("model=both", "parameters=fast"), "parameters must be those of selective-search"),
    ],
)
def test_misuse_of_the_source_is_rejected(parameters: tuple[str, ...], expected: str) -> None:
    given = [word for parameter in parameters for word in ("--param", parameter)]
    told = words("propose", "shapes/JPEGImages", "--source", "ranked", *given, code=2)
    assert expected in told


def test_the_source_is_listed_with_its_parameters() -> None:
    (info,) = (info for info in registry.list_sources() if info.name == "ranked")
    assert info.summary.startswith("Boxes of another source, ordered by a detector")
    assert info.parameters == ("model", "source='selective-search'", "parameters=None")
    assert isinstance(registry.make_source("ranked", model="both"), Source)


def test_compress_truncates_both_heads(home: Path) -> None:
    words(
        "compress", "both", "--svd-rank", 5, "--half", "--out", "thin.safetensors",
        "--json", "thin.json",
    )  # fmt: skip
    values = json.loads((home / "thin.json").read_text())
    assert set(values["layers"]) == {"fc6", "fc7", "second.fc6", "second.fc7"}
    assert {"ranker", "second.fc6"} <= set(values["after"]["stages"])
    words(
        "detect", "shapes/JPEGImages/000001.jpg", "--model", "thin.safetensors",
        "--source", "dense",
    )  # fmt: skip


def test_a_run_can_start_from_the_model(home: Path) -> None:
    start = ("train", "shapes", "--source", "dense", "--init", "both", *SMALL[2:])
    told = words(*start, "--variant", "one-head", "--out", "no-parts", code=2)
    assert "a second head, which would not be trained. Add --variant cascade." in told
    words(*start, "--out", "tuned")
    assert load_model(home / "tuned" / "model.safetensors")[0].architecture.ranker
    start = ("train", "shapes", "--source", "dense", "--init", "plain", *SMALL[2:])
    words(*start, "--out", "added")
    assert load_model(home / "added" / "model.safetensors")[0].second is not None
