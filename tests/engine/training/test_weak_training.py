"""Training from image labels: boxes have no effect, and blocks change no gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_runs import equal, measured, new_model, settings, weights
from torch import Tensor

from frcnn_cli.engine.datasets.findings import Finding
from frcnn_cli.engine.detection.features import regions
from frcnn_cli.engine.detection.image import score_boxes
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.exchange.exported import ExportedDetector
from frcnn_cli.engine.models.initial import with_weak_head
from frcnn_cli.engine.network import model as network_model
from frcnn_cli.engine.network.layers.dropout import ImageRows, RowDropout
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.network.transforms import image_scale, unnormalised
from frcnn_cli.engine.records import Dataset, GroundTruth, ImageLabels, ImageRecord
from frcnn_cli.engine.settings import DetectSettings, TrainSettings
from frcnn_cli.engine.settings.features import FeatureSettings
from frcnn_cli.engine.training.loop import resume, train
from frcnn_cli.engine.training.metrics import read_training_log
from frcnn_cli.engine.training.minibatches import Minibatches
from frcnn_cli.engine.training.run import Run
from frcnn_cli.engine.training.weak.labels import (
    image_labels,
    label_findings,
    without_boxes,
    without_proposals,
)
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.images import read_image

MakeProposals = Callable[[Dataset], dict[str, Proposals]]


def weak_settings(classifier: str, iterations: int = 4, **more: object) -> TrainSettings:
    values = {"box_training": "none", "proposals": 60, "classifier": classifier}
    return settings(iterations, 2, **(values | more))


def weak_model(dataset: Dataset, classifier: str = "oicr") -> FastRCNN:
    return with_weak_head(new_model(dataset), weak_settings(classifier))


@pytest.fixture
def run(tiny_dataset: Dataset, grid_proposals: MakeProposals, run_folder: Path) -> Run:
    return Run(run_folder, tiny_dataset, grid_proposals(tiny_dataset), weak_settings("oicr"))


def moved(record: ImageRecord) -> ImageRecord:
    """The image with all its boxes in another place, and of another size."""
    assert record.truth is not None
    boxes = record.truth.boxes[::-1] * np.float32(0.5) + np.float32(7)
    return replace(record, truth=replace(record.truth, boxes=boxes))


@pytest.mark.parametrize("classifier", ["wsddn", "oicr"])
def test_moving_every_box_changes_no_weight(run: Run, tmp_path: Path, classifier: str) -> None:
    run = replace(run, settings=weak_settings(classifier))
    images = tuple(map(moved, run.dataset.images))
    others = {
        "moved": replace(run.dataset, images=images),
        "without": without_boxes(run.dataset),
    }
    trained = weights(train(weak_model(run.dataset, classifier), run).path)
    for name, dataset in others.items():
        other = replace(run, folder=tmp_path / name, dataset=dataset)
        assert equal(weights(train(weak_model(dataset, classifier), other).path), trained)
    assert not equal(trained, weak_model(run.dataset, classifier).state_dict())


def test_a_changed_label_changes_the_weights(run: Run, tmp_path: Path) -> None:
    labelled = without_boxes(run.dataset)
    images = tuple(replace(image, labels=ImageLabels((1,))) for image in labelled.images)
    other = replace(run, folder=tmp_path / "other", dataset=replace(labelled, images=images))
    first, second = (weights(train(weak_model(each.dataset), each).path) for each in (run, other))
    assert not equal(first, second)


def test_all_proposals_of_an_image_are_in_its_step(run: Run) -> None:
    minibatch = Minibatches(run.dataset, run.proposals, weak_model(run.dataset).architecture,
                            run.settings)[0]  # fmt: skip
    assert len(minibatch.rois) == 2 * 60
    assert (minibatch.units, minibatch.labels.sum()) == (2, 0)
    assert minibatch.image_labels is not None
    assert minibatch.image_labels.shape == (2, len(run.dataset.classes))


def gradients(model: FastRCNN, images: Tensor, rois: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    drop = RowDropout((ImageRows(20, 3), ImageRows(30, 4)), images.device)
    logits = model(images, rois, drop).logits
    (logits * torch.linspace(-1, 1, logits.numel()).view_as(logits)).sum().backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def test_blocks_change_neither_outputs_nor_gradients(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = weak_model(run.dataset).double().train()
    model.dtype, model.dropout = torch.float64, 0.0
    rois = torch.rand(50, 5, dtype=torch.float64) * 20
    rois[:, 0], rois[:, 3:] = (torch.arange(50) >= 20).double(), rois[:, 3:] + 25
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    model.features.eval()
    whole = gradients(model, images, rois)
    monkeypatch.setattr(network_model, "BLOCK_BYTES", 1 << 14)
    monkeypatch.setattr(network_model, "STORED_BLOCKS", 10_000)
    calls = count_calls(monkeypatch)
    in_blocks = gradients(model, images, rois)
    blocks = len(calls)
    assert blocks > 4
    assert whole.keys() == in_blocks.keys()
    for name, value in whole.items():
        torch.testing.assert_close(in_blocks[name], value, rtol=1e-8, atol=1e-10)
    monkeypatch.setattr(network_model, "STORED_BLOCKS", 0)
    again = gradients(model, images, rois)
    assert len(calls) == 3 * blocks  # once more in the backward pass
    assert equal(again, in_blocks)


def test_blocks_computed_again_have_the_same_dropout(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradient is that of the outputs: compared with a difference along one direction.

    With other masks in the second computation, it would be wrong.
    """
    monkeypatch.setattr(network_model, "BLOCK_BYTES", 1 << 14)
    monkeypatch.setattr(network_model, "STORED_BLOCKS", 0)
    model = weak_model(run.dataset).double().train()
    model.dtype = torch.float64
    model.features.eval()
    rois = torch.rand(50, 5, dtype=torch.float64) * 20
    rois[:, 0], rois[:, 3:] = (torch.arange(50) >= 20).double(), rois[:, 3:] + 25
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    gradient = gradients(model, images, rois)["fc7.weight"]

    def value(step: float) -> float:
        with torch.no_grad():
            model.fc7.weight += step * gradient
        drop = RowDropout((ImageRows(20, 3), ImageRows(30, 4)), images.device)
        logits = model(images, rois, drop).logits
        result = (logits * torch.linspace(-1, 1, logits.numel()).view_as(logits)).sum().item()
        with torch.no_grad():
            model.fc7.weight -= step * gradient
        return result

    difference = (value(1e-7) - value(-1e-7)) / 2e-7
    assert difference == pytest.approx(gradient.square().sum().item(), rel=1e-4)


def count_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    pool = FastRCNN.pool

    def counted(self: FastRCNN, *arguments: Tensor) -> Tensor:
        calls.append(1)
        return pool(self, *arguments)

    monkeypatch.setattr(FastRCNN, "pool", counted)
    return calls


@pytest.mark.parametrize("classifier", ["wsddn", "oicr"])
def test_blocks_of_detection_do_not_change_scores(
    run: Run, classifier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = run.dataset.images[0]
    model = prepare_model(weak_model(run.dataset, classifier).eval())
    model.dropout = 0.0
    arguments = (model, read_image(record.path), run.proposals[record.image_id], DetectSettings())
    whole, boxes = score_boxes(*arguments)
    calls = count_calls(monkeypatch)
    monkeypatch.setattr(network_model, "BLOCK_BYTES", 1 << 14)
    in_blocks, _ = score_boxes(*arguments)
    assert len(calls) > 2
    torch.testing.assert_close(in_blocks, whole, rtol=1e-4, atol=1e-7)
    if classifier == "wsddn":  # the sum over RoIs of the detection stream's softmax is 1
        assert (whole[:, 1:].sum(dim=0) < 1).all()
        assert whole[:, 0].abs().max() == 0
    else:
        torch.testing.assert_close(whole.sum(dim=1), torch.ones(len(whole)))
    assert torch.equal(boxes[:, 0].cpu(), torch.from_numpy(arguments[2].boxes))


@pytest.mark.parametrize("classifier", ["wsddn", "oicr"])
def test_features_and_exports_have_the_scores_of_detection(
    run: Run, classifier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of WSDDN depend on all RoIs of the image, however it is divided."""
    record, settings = run.dataset.images[0], DetectSettings(box_regression=False)
    model, image = weak_model(run.dataset, classifier).eval(), read_image(record.path)
    proposals = run.proposals[record.image_id].top(40)
    scores, boxes = score_boxes(model, image, proposals, settings)

    monkeypatch.setattr(regions, "BLOCK_BYTES", 1)
    wanted = FeatureSettings("fc7")
    _, blocks = regions.region_blocks(model, image, proposals, settings, wanted)
    probabilities = np.concatenate([block["cls_prob"] for block in blocks])
    np.testing.assert_allclose(probabilities, scores, rtol=1e-4, atol=1e-7)

    preprocessing = model.architecture.preprocessing
    factor = image_scale(*image.shape[:2], preprocessing)
    arguments = (
        torch.from_numpy(unnormalised(image, preprocessing)),
        torch.from_numpy(proposals.boxes),
        torch.tensor(factor),
        torch.tensor(image.shape[:2]),
    )
    with torch.inference_mode():
        exported, decoded = ExportedDetector(model, True, settings)(*arguments)
    torch.testing.assert_close(exported, scores, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(decoded, boxes, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("classifier", ["wsddn", "oicr"])
def test_a_resumed_run_ends_with_the_same_weights(
    run: Run, tmp_path: Path, classifier: str
) -> None:
    run = replace(run, settings=weak_settings(classifier, averaging=0.9))
    whole = train(weak_model(run.dataset, classifier), run)
    part = replace(run, folder=tmp_path / "part")

    def stop(step: object) -> None:
        if getattr(step, "iteration", 0) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(weak_model(run.dataset, classifier), part, stop)
    assert equal(weights(resume(part).path), weights(whole.path))
    assert measured(part.folder) == measured(run.folder)
    rows = measured(run.folder)
    assert all("box_regression" not in row for row in rows)
    assert all((row["refinement"] > 0) == (classifier == "oicr") for row in rows)
    assert set(read_training_log(run.folder).losses) == {"total", "classes", "refinement"}


def record_with(labels: list[int], difficult: list[bool], name: str = "a") -> ImageRecord:
    count = len(labels)
    truth = GroundTruth(
        np.zeros((count, 4), np.float32), np.array(labels, np.int64), np.array(difficult, bool)
    )
    return ImageRecord(name, Path(name), truth=truth)


def test_labels_of_an_annotated_image() -> None:
    """A class with only difficult objects is neither present nor absent."""
    record = record_with([3, 1, 1, 4], [True, True, False, True])
    assert image_labels(record, 5).tolist() == [[1, 0, -1, -1, 0]]
    assert image_labels(ImageRecord("b", Path("b"), labels=ImageLabels((2,))), 3).tolist() == [
        [0, 1, 0]
    ]


def messages(findings: list[Finding]) -> list[str]:
    return [str(each) for each in findings]


def test_images_without_proposals_are_named(run: Run) -> None:
    assert without_proposals(run.dataset, run.proposals) == []
    first = run.dataset.images[0].image_id
    without = {**run.proposals, first: Proposals(np.zeros((0, 4), np.float32))}
    assert messages(without_proposals(run.dataset, without)) == [
        f"1 image has no proposals, and therefore no loss: {first}"
    ]


def test_unused_classes_and_images_without_labels_are_named() -> None:
    images = (record_with([1], [False], "first"), record_with([], [], "second"))
    dataset = Dataset("x", "train", ("cat", "dog"), images)
    assert messages(label_findings(dataset)) == [
        "no image for 1 of 2 classes: dog",
        "1 image without label is used as negative of all classes: second",
    ]
    with pytest.raises(MisuseError, match="no image has a label"):
        label_findings(replace(dataset, images=images[1:]))
    with pytest.raises(MisuseError, match="image b has neither labels nor an annotation"):
        without_boxes(replace(dataset, images=(ImageRecord("b", Path("b")),)))
