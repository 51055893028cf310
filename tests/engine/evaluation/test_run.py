"""Evaluation of a model and detection in files from Python, by one call each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.detection.image import detect_image
from frcnn_cli.engine.detection.outputs import DetectionOutputs
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.detection.run import detect_in_files, make_detector
from frcnn_cli.engine.evaluation.images import open_images, open_unseen_images
from frcnn_cli.engine.evaluation.run import evaluate_file, evaluate_model
from frcnn_cli.engine.evaluation.scores import evaluate
from frcnn_cli.engine.models.loaded import LoadedModel, open_model
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.reporter import Advance, Needs, Silent
from frcnn_cli.engine.settings import Architecture, DetectSettings, Preprocessing
from frcnn_cli.engine.settings.options import DataOptions, DetectionOptions
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.images import read_image
from frcnn_proposals.sources.dense import DenseBoxes

CPU = torch.device("cpu")


class Lines(Silent):
    """A reporter that stores its lines, and interrupts after `stop_after` images."""

    def __init__(self, stop_after: int = 10**6) -> None:
        self.lines: list[str] = []
        self.left = stop_after

    def note(self, text: str) -> None:
        self.lines.append(text)

    @contextmanager
    def progress(
        self,
        description: str,
        total: int | None,
        done: int = 0,
        needs: Needs | None = None,
        unit: str = "items",
    ) -> Iterator[Advance]:
        def advance(count: int, status: str) -> None:
            self.left -= count if description == "Detecting" else 0
            if self.left <= 0:
                raise KeyboardInterrupt

        yield advance


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataOptions:
    folder = tmp_path_factory.mktemp("data") / "shapes"
    generate_dataset(folder, images=12, seed=1, size=(128, 96))
    return DataOptions(str(folder), source="dense")


@pytest.fixture(scope="module")
def loaded(data: DataOptions, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """An untrained model with detections of all classes and scores."""
    assert data.dataset is not None
    classes = find_dataset(data.dataset, "trainval").classes
    torch.manual_seed(0)
    preprocessing = Preprocessing(scale=64, max_size=100)
    model = FastRCNN(
        Architecture("efficientnet_lite0", classes, (16, 8), preprocessing, pretrained=False)
    )
    with torch.no_grad():
        model.score.weight.mul_(30)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(model, path, {})
    return open_model(path, path.parent, CPU)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRCNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def by_hand(loaded: LoadedModel, data: DataOptions, **changes: object) -> dict[str, Detections]:
    """Detections from detect_image, called for each image."""
    assert data.dataset is not None
    settings = replace(loaded.experiment.detect, **{"score_threshold": None, **changes})
    model = prepare_model(loaded.model, loaded.precision)
    found = {}
    for record in find_dataset(data.dataset, "test").images:
        image = read_image(record.path)
        found[record.image_id] = detect_image(model, image, DenseBoxes().propose(image), settings)
    return found


def test_a_model_is_evaluated_as_by_hand(
    loaded: LoadedModel, data: DataOptions, tmp_path: Path, own_cache: Path
) -> None:
    assert data.dataset is not None
    detection = DetectionOptions(top_k=20, flip=True)
    results = tmp_path / "results.json"
    evaluation = evaluate_model(loaded, data, detection, results)
    assert evaluation is not None
    found = by_hand(loaded, data, top_k=20, flip=True)
    assert evaluation == evaluate(find_dataset(data.dataset, "test"), found)
    assert not list((own_cache / "detections").iterdir())
    # The file has the same detections, with boxes as x, y, width, height.
    assert evaluate_file(results, data.dataset).voc == evaluation.voc
    assert len(json.loads(results.read_text())) == sum(map(len, found.values()))


def test_an_interrupted_evaluation_is_resumed(
    loaded: LoadedModel, data: DataOptions, own_cache: Path
) -> None:
    reporter = Lines(stop_after=1)
    with pytest.raises(KeyboardInterrupt):
        evaluate_model(loaded, data, reporter=reporter)
    assert "run the same command to resume" in reporter.lines[-1]
    (journal,) = (own_cache / "detections").iterdir()
    resumed = Lines()
    evaluation = evaluate_model(loaded, data, reporter=resumed)
    assert f"Resuming from {journal}: 1 image is done." in resumed.lines
    assert evaluation == evaluate_model(loaded, data)
    # With other settings, the journal is not used.
    other = Lines()
    evaluate_model(loaded, data, DetectionOptions(top_k=3), reporter=other)
    assert not any(line.startswith("Resuming") for line in other.lines)


def test_detection_in_files_writes_annotated_images_and_json(
    loaded: LoadedModel, data: DataOptions, tmp_path: Path
) -> None:
    assert data.dataset is not None
    records = find_dataset(data.dataset, "test").images
    files = [(record.image_id, record.path) for record in records]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not an image")
    detector = make_detector(loaded, DetectionOptions(score_threshold=0.0), source="dense")
    outputs = DetectionOutputs(json_path=tmp_path / "found.json", annotated=tmp_path / "drawn")
    detected = detect_in_files(detector, [*files, ("broken", broken)], outputs)
    expected = by_hand(loaded, data, score_threshold=0.0)
    assert list(detected.found) == [image_id for image_id, _ in files]
    for image_id, found in detected.found.items():
        np.testing.assert_array_equal(found.boxes, expected[image_id].boxes)
        assert (tmp_path / "drawn" / f"{image_id}.jpg").is_file()
    (failure,) = detected.failures
    assert str(broken) in failure
    entries = json.loads((tmp_path / "found.json").read_text())
    assert len(entries) == sum(map(len, expected.values()))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.jpg", "drawn", "found.json"]


def test_score_threshold_is_given_or_that_of_the_model(loaded: LoadedModel) -> None:
    def threshold(model: LoadedModel, given: float | None) -> float | None:
        detector = make_detector(model, DetectionOptions(score_threshold=given), source="dense")
        return detector.settings.score_threshold

    own = replace(
        loaded, experiment=replace(loaded.experiment, detect=DetectSettings(score_threshold=0.3))
    )
    assert threshold(own, None) == 0.3
    assert threshold(own, 0.1) == 0.1
    with pytest.raises(MisuseError, match="a probability must be"):
        threshold(own, -0.1)
    # Margins of SVMs are not probabilities, so the stored threshold does not apply.
    svm = FastRCNN(replace(own.model.architecture, classifier="svm"))
    assert threshold(replace(own, model=svm), None) == 0.0
    assert threshold(replace(own, model=svm), -0.1) == -0.1


def test_classes_of_other_models_are_also_checked(loaded: LoadedModel, data: DataOptions) -> None:
    other = FastRCNN(replace(loaded.model.architecture, classes=("alone",)))
    with pytest.raises(MisuseError, match="has 1 class"):
        open_images(loaded, data, others=[replace(loaded, model=other)])


def test_settings_are_not_chosen_on_training_images(loaded: LoadedModel, data: DataOptions) -> None:
    assert data.dataset is not None
    training = replace(loaded.experiment.data, dataset=data.dataset, split="trainval")
    trained = replace(loaded, experiment=replace(loaded.experiment, data=training))
    reporter = Lines()
    assert open_unseen_images(trained, data, reporter).dataset.split == "test"
    assert any(line.startswith("Skipping split val") for line in reporter.lines)
    with pytest.raises(MisuseError, match="was not trained on"):
        open_unseen_images(trained, replace(data, split="val"), reporter)
