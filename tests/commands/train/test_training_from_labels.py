"""`frcnn train --variant wsddn|oicr`: where labels come from, and what is rejected."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pytest
from called import frcnn
from small_runs import equal, weights

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.models.store import load_model
from frcnn_proposals.base import Proposals
from frcnn_proposals.formats.parts.about import ABOUT_FILE, About
from frcnn_proposals.formats.parts.files import write_part
from frcnn_proposals.formats.parts.row import Row
from frcnn_proposals.sources.dense import DenseBoxes
from frcnn_proposals.sources.precomputed import Precomputed
from frcnn_proposals.sources.union import UnionSource
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.writer import StoreWriter

SMALL = ("--scale", 64, "--workers", 0, "--iterations", 3)
LABELS = (*SMALL, "--backbone", "efficientnet_lite0", "--set", "train.proposals=40")


def words(*arguments: object, code: int = 0) -> str:
    result = frcnn(*arguments)
    assert result.exit_code == code, result.output
    return " ".join(re.sub("[│┃]", " ", result.output).split())


def train(dataset: object, name: str, *more: object, code: int = 0) -> str:
    source = () if "--proposals" in more or "--source" in more else ("--source", "dense")
    start = () if "--init" in more else ("--weights", "none")
    return words("train", dataset, *LABELS, *source, *start, "--out", name, *more, code=code)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, a model trained from its labels, and one from its boxes."""
    folder = tmp_path_factory.mktemp("labels")
    generate_dataset(folder / "shapes", images=12, seed=1, size=(128, 96))
    for path in (folder / "shapes/Annotations").iterdir():  # a table has no difficult objects
        path.write_text(path.read_text().replace("<difficult>1<", "<difficult>0<"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("FRCNN_CACHE", str(folder / "cache"))
        train("shapes", "wsddn", "--variant", "wsddn")
        train("shapes", "boxes", "--variant", "one-head")
    return folder


@pytest.fixture(autouse=True)
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("FRCNN_CACHE", str(home / "cache"))


def model_weights(name: str) -> dict[str, object]:
    return weights(Path(name) / "model.safetensors")


def test_moving_every_box_of_the_files_changes_no_weight(home: Path) -> None:
    shutil.copytree("shapes", "moved/shapes")
    for path in Path("moved/shapes/Annotations").glob("*.xml"):
        text = path.read_text()
        for corner, value in (("xmin", 3), ("ymin", 4), ("xmax", 90), ("ymax", 71)):
            text = re.sub(rf"<{corner}>[^<]*<", f"<{corner}>{value}<", text)
        path.write_text(text)
    train("moved/shapes", "moved-run", "--variant", "wsddn")
    assert equal(model_weights("moved-run"), model_weights("wsddn"))


def write_table(folder: Path) -> Path:
    """The labels of the dataset's images as a CSV file next to them, without boxes."""
    data = find_dataset("shapes", "trainval")
    rows = ["image,label"]
    for record in data.images:
        assert record.truth is not None
        names = [data.classes[label - 1] for label in sorted(set(record.truth.labels.tolist()))]
        rows += [f"{record.path.name},{name}" for name in names] or [f"{record.path.name},"]
        shutil.copy(record.path, folder)
    (folder / "classes.txt").write_text("\n".join(data.classes) + "\n")
    table = folder / "labels.csv"
    table.write_text("\n".join(rows) + "\n")
    return table


def test_a_table_of_the_same_labels_gives_the_same_weights(tmp_path: Path) -> None:
    train(write_table(tmp_path), "table", "--variant", "wsddn")
    assert equal(model_weights("table"), model_weights("wsddn"))


def test_a_folder_per_class_is_enough(tmp_path: Path) -> None:
    for number, path in enumerate(sorted(Path("shapes/JPEGImages").iterdir())):
        folder = tmp_path / "pictures" / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    shutil.copy(path, tmp_path / "pictures")
    told = train(tmp_path / "pictures", "folders", "--variant", "oicr")
    assert "1 image without label is used as negative of all classes" in told
    model, _ = load_model(Path("folders/model.safetensors"))
    assert model.architecture.classes == ("cat", "dog")
    assert (model.architecture.classifier, model.architecture.refinements) == ("oicr", 3)
    assert " cat " in words("detect", path, "--model", "folders", "--score-threshold", 0)
    without = train(tmp_path / "pictures", "none", code=2)
    assert "has labels of images: train with --variant wsddn or --variant oicr" in without


@pytest.mark.parametrize(
    ("options", "backbone"),
    [
        (("--variant", "oicr"), "efficientnet_lite0_c5"),
        (("--variant", "wsddn"), "efficientnet_lite0_c5"),
        (("--variant", "oicr", "--backbone", "vgg16"), "vgg16"),
        (("--variant", "oicr", "--preset", "lite"), "efficientnet_lite2"),
        (("--variant", "oicr", "--init", "voc"), "efficientnet_lite2"),
        (("--variant", "one-head"), "efficientnet_lite2"),
    ],
)
def test_all_layers_of_the_default_backbone_have_imagenet_weights(
    options: tuple[str, ...], backbone: str, tmp_path: Path
) -> None:
    words("config", "show", *options, "--json", tmp_path / "setting.json")
    settings = json.loads((tmp_path / "setting.json").read_text())["settings"]
    assert {each["name"]: each["value"] for each in settings}["backbone"] == backbone


def test_a_warning_says_that_fc6_and_fc7_start_from_random_weights(tmp_path: Path) -> None:
    warning = "fc6 and fc7 of efficientnet_lite0 have no ImageNet weights"
    told = train("shapes", "random", "--variant", "wsddn")
    assert f"{warning}. Training from image labels then does not find objects." in told
    assert "Use --backbone efficientnet_lite0_c5" in told
    assert warning not in train("shapes", "from-boxes", "--variant", "one-head")
    continued = train("shapes", "continued", "--variant", "wsddn", "--init", "wsddn")
    assert warning not in continued
    options = ("--backbone", "efficientnet_lite0_c5", "--variant", "oicr", "--precision", "float32")
    model = ("--scale", 64, "--workers", 0, "--iterations", 1, "--set", "train.proposals=5")
    arguments = (*model, *options, "--source", "dense", "--out", "c5")
    assert "no ImageNet weights" not in words("train", "shapes", *arguments)
    words("compress", "c5", "--svd-rank", 64, "--out", "c5-small.safetensors")
    image = next(Path("shapes/JPEGImages").iterdir())
    found = words("detect", image, "--model", "c5-small.safetensors", "--score-threshold", 0)
    assert "image class score" in found


@pytest.mark.parametrize("variant", ["wsddn", "oicr"])
def test_a_detector_that_learned_from_boxes_is_rejected(variant: str) -> None:
    told = train("shapes", "none", "--variant", variant, "--init", "boxes", code=2)
    assert "learned from boxes" in told
    assert "--set weak.seen_boxes=true" in told
    assert not Path("none").exists()


def test_a_detector_that_learned_from_boxes_can_be_allowed_and_the_model_says_so() -> None:
    allowed = ("--variant", "wsddn", "--set", "weak.seen_boxes=true")
    train("shapes", "allowed", *allowed, "--init", "boxes")
    assert "starting from a detector or an order of proposals that learned" in words(
        "model", "info", "allowed"
    )
    # So did what starts from that model.
    again = train("shapes", "none", "--variant", "oicr", "--init", "allowed", code=2)
    assert "learned from boxes" in again
    assert "has no effect" in train("shapes", "none", *allowed, code=2)


def test_oicr_starts_from_wsddn_and_a_detector_from_both() -> None:
    train("shapes", "refined", "--variant", "oicr", "--init", "wsddn")
    told = words("model", "info", "refined")
    assert "trained from image labels" in told
    assert "starting from" not in told
    train("shapes", "supervised", "--variant", "one-head", "--init", "refined")
    model, _ = load_model(Path("supervised/model.safetensors"))
    assert model.weak is None
    assert (model.architecture.classifier, model.architecture.box_regression) == ("softmax", True)


def written(boxes: Mapping[str, Proposals], store: Path, provenance: Provenance) -> None:
    with StoreWriter(store, provenance) as writer:
        for image_id, proposals in boxes.items():
            writer.add(image_id, proposals)
        writer.finish()


def test_an_order_learned_from_boxes_is_rejected(tmp_path: Path) -> None:
    told = train(
        "shapes", "none", "--variant", "wsddn", "--source", "ranked", "--param", "model=x", code=2
    )
    assert "The proposal source ranked learned from boxes" in told
    store = tmp_path / "ranked.proposals"
    boxes = {record.image_id: Proposals([[0, 0, 50, 50]])
             for record in find_dataset("shapes", "trainval").images}  # fmt: skip
    written(boxes, store, Provenance("dense+ranked"))
    parts, about = tmp_path / "parts", About("proposals", asdict(Provenance("dense+ranked")))
    rows = [Row(image_id, proposals.boxes) for image_id, proposals in boxes.items()]
    parts.mkdir()
    (parts / ABOUT_FILE).write_bytes(about.to_json())
    write_part(parts / f"part-{about.digest[:8]}-1of1-000000-{0:08x}.jsonl", rows)
    copy, copy_of_copy = tmp_path / "copy.proposals", tmp_path / "again.proposals"
    written(boxes, copy, Provenance.of(Precomputed(store)))
    union = UnionSource([DenseBoxes(), Precomputed(copy)])
    written(boxes, copy_of_copy, Provenance.of(union))
    for path in (store, parts, copy, copy_of_copy):
        for given in (
            ("--proposals", path),
            ("--source", "precomputed", "--param", f"file={path}"),
            ("--source", "precomputed", "--param", f'file="{path}"'),
            ("--source", "dense+precomputed", "--param", f'precomputed={{"file": "{path}"}}'),
        ):
            told = train("shapes", "none", "--variant", "wsddn", *given, code=2)
            assert f"The order of the proposals in {path} learned from boxes" in told


def test_labels_of_unknown_images_are_named(tmp_path: Path) -> None:
    table = write_table(tmp_path)
    table.write_text(table.read_text() + "nowhere.jpg,circle\n")
    told = train(table, "none", "--variant", "wsddn", code=1)
    assert "the labels of nowhere are for an unknown image" in told


def test_settings_that_do_not_fit_are_rejected() -> None:
    for more, message in (
        (("--sampling", "roi-centric"), "requires sampling.strategy 'hierarchical'"),
        (("--variant", "cascade"), "cannot be combined"),
        (("--set", "weak.iou=1"), "less than 1"),
    ):
        assert message in words("config", "show", "--variant", "oicr", *more, code=2)
    told = words("config", "show", "--set", "weak.iou=0.4", code=2)
    assert "settings of weak have no effect" in told.replace("Settings", "settings")
