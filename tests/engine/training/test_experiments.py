"""The paper's experiments as training runs: their changes, and results equal to the bit."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from frcnn_cli.engine.boxes import iou_matrix
from frcnn_cli.engine.detection.dataset import detect_dataset
from frcnn_cli.engine.models.store import load_model
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.creation import create_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import (
    DetectSettings,
    Sampling,
    Schedule,
    SvmSettings,
    TrainSettings,
)
from frcnn_cli.engine.training.loop import resume, train
from frcnn_cli.engine.training.minibatches import Minibatch, Minibatches, minibatch_stream
from frcnn_cli.engine.training.optimizer import make_optimizer
from frcnn_cli.engine.training.run import Run, StepReport, Trained
from frcnn_cli.engine.training.step import train_step
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError

MakeProposals = Callable[[Dataset], dict[str, Proposals]]
State = dict[str, Tensor]
ROI_CENTRIC = Sampling(images=2, rois_per_image=4, strategy="roi-centric")


class Stopped(Exception):
    pass


def settings(iterations: int = 4, **more: object) -> TrainSettings:
    schedule = Schedule(iterations, learning_rate=0.01)
    return TrainSettings(schedule=schedule, **{"workers": 0, **more})  # type: ignore[arg-type]


def new_model(dataset: Dataset) -> FastRCNN:
    backbone = find_backbone("efficientnet_lite0")
    small = replace(backbone, hidden=(24, 16))
    preprocessing = replace(backbone.preprocessing, scale=64, max_size=100)
    return create_model(small, dataset.classes, preprocessing=preprocessing, seed=1)


@pytest.fixture
def run(tiny_dataset: Dataset, grid_proposals: MakeProposals, run_folder: Path) -> Run:
    return Run(run_folder, tiny_dataset, grid_proposals(tiny_dataset), settings())


def in_folder(run: Run, folder: Path, chosen: TrainSettings) -> Run:
    folder.mkdir(exist_ok=True)
    return replace(run, folder=folder, settings=chosen)


def state_of(trained: Trained) -> State:
    return load_model(trained.path)[0].state_dict()


def changed(before: State, after: State) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def of_layers(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def minibatches(run: Run, **more: object) -> Minibatches:
    architecture = new_model(run.dataset).architecture
    return Minibatches(run.dataset, run.proposals, architecture, settings(**more))  # type: ignore[arg-type]


def test_gradients_of_shares_sum_to_those_of_the_minibatch(run: Run) -> None:
    """The two images of a mini-batch have the same gradients one after the other as together."""
    whole = minibatches(run)[0]
    first = whole.rois[:, 0] == 0
    # Shares of very different size, so that an average of averages would differ.
    few = torch.nonzero(first).flatten()[:7]
    many = torch.nonzero(~first).flatten()
    chosen = torch.cat([few, many])
    joined = replace(whole, rois=whole.rois[chosen], labels=whole.labels[chosen],
                     targets=whole.targets[chosen], rows=())  # fmt: skip

    def share(index: int, rows: Tensor) -> Minibatch:
        rois = whole.rois[rows].clone()
        rois[:, 0] = 0
        return replace(whole, images=whole.images[index : index + 1], rois=rois,
                       labels=whole.labels[rows], targets=whole.targets[rows], rows=())  # fmt: skip

    gradients, losses = [], []
    for shares in ([joined], [share(0, few), share(1, many)]):
        model = new_model(run.dataset).train()
        model.dropout = 0.0
        found = train_step(model, shares, make_optimizer(model, run.settings.schedule), rate=0.0)
        assert found is not None
        losses.append(found)
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert torch.allclose(torch.stack(losses[0]), torch.stack(losses[1]), rtol=1e-4)
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        size = gradient.abs().max()
        assert torch.allclose(gradient, gradients[1][name], atol=1e-3 * float(size)), name


def test_roi_centric_draws_one_roi_per_image_and_a_quarter_foreground(run: Run) -> None:
    batches = minibatches(run, iterations=12, sampling=ROI_CENTRIC)
    records = {record.image_id: record for record in run.dataset.images}
    seen = set()
    for iteration in range(12):
        shares = [batches[iteration * 8 + place] for place in range(8)]
        assert len({share.image_ids for share in shares}) == 8
        assert sum(int((share.labels > 0).sum()) for share in shares) == 2
        for share in shares:
            assert len(share.image_ids) == len(share.labels) == share.images.shape[0] == 1
            seen.add(tuple(share.rois[0].tolist()))
            if share.labels[0] == 0:
                continue
            truth = records[share.image_ids[0]].truth
            assert truth is not None
            assert int(share.labels[0]) in truth.labels.tolist()
    assert len(seen) > 40  # of 96, some drawn twice: every epoch has different RoIs


def test_roi_centric_does_not_depend_on_workers_or_on_the_start(run: Run) -> None:
    batches = minibatches(run, iterations=6, sampling=ROI_CENTRIC)
    later = [list(shares) for shares in minibatch_stream(batches, start=4, workers=2)]
    assert [len(shares) for shares in later] == [8, 8]
    for place, share in enumerate(later[1]):
        alone = batches[5 * 8 + place]
        assert share.image_ids == alone.image_ids
        assert torch.equal(share.images, alone.images)
        assert torch.equal(share.rois, alone.rois)


def test_roi_centric_training_can_be_resumed(run: Run, tmp_path: Path) -> None:
    chosen = settings(4, sampling=ROI_CENTRIC, checkpoint_every=2)
    assert_resumes(run, tmp_path, chosen, stop_after=3)


def test_each_image_draws_its_own_scale(run: Run) -> None:
    scales = (48, 64, 80)
    one = minibatches(run, iterations=60)
    several = minibatches(run, iterations=60, sampling=Sampling(scales=scales))
    counts = dict.fromkeys(scales, 0)
    for iteration in range(60):
        plain, scaled = one[iteration], several[iteration]
        assert plain.image_ids == scaled.image_ids
        assert torch.equal(plain.labels, scaled.labels)  # the scale changes nothing else
        for index in range(2):
            rows = plain.rois[:, 0] == index
            ratio = (scaled.rois[rows, 1:].sum() / plain.rois[rows, 1:].sum()).item()
            # Images of 128 x 96, the longer side at most 100: 48, 64 and 75 of 96.
            scale = {48: 48, 64: 64, 75: 80}[round(ratio * 64)]
            counts[scale] += 1
    assert sum(counts.values()) == 120
    assert min(counts.values()) > 25  # 40 +- 5 each


def test_a_scale_above_the_maximum_size_is_rejected(run: Run) -> None:
    with pytest.raises(MisuseError, match="less than scale 128"):
        minibatches(run, sampling=Sampling(scales=(64, 128)))


def test_without_boxes_the_box_layer_stays_and_detections_are_proposals(run: Run) -> None:
    before = new_model(run.dataset).state_dict()
    steps: list[StepReport] = []
    trained = train(
        new_model(run.dataset), replace(run, settings=settings(box_training="none")), steps.append
    )
    assert all(step.loss == step.classification for step in steps)
    after = changed(before, state_of(trained))
    assert of_layers(after) == {"features", "fc6", "fc7", "score", "offset_means",
                                "offset_deviations"}  # fmt: skip
    model, _ = load_model(trained.path)
    assert not model.architecture.box_regression
    found = detect_dataset(
        model, run.dataset, run.proposals, DetectSettings(score_threshold=None)
    ).found
    for image_id, detections in found.items():
        known = set(map(tuple, run.proposals[image_id].boxes.tolist()))
        assert len(detections)
        assert set(map(tuple, detections.boxes.tolist())) <= known


def test_stagewise_is_the_run_without_boxes_then_the_box_layer(run: Run, tmp_path: Path) -> None:
    plain = settings(3, box_training="none")
    without = train(new_model(run.dataset), in_folder(run, tmp_path / "none", plain))
    steps: list[StepReport] = []
    chosen = settings(3, box_training="stagewise")
    stagewise = train(
        new_model(run.dataset), in_folder(run, tmp_path / "stagewise", chosen), steps.append
    )
    assert changed(state_of(without), state_of(stagewise)) == {"box.weight", "box.bias"}
    assert load_model(stagewise.path)[0].architecture.box_regression
    assert [step.iteration for step in steps] == [1, 2, 3, 4, 5, 6]
    assert [step.learning_rate for step in steps[:3]] == [s.learning_rate for s in steps[3:]]
    assert all(step.loss == step.classification for step in steps[:3])
    assert all(step.loss == step.box_regression > 0 for step in steps[3:])


@pytest.mark.parametrize("stop_after", [2, 4, 7])
def test_stagewise_can_be_resumed_in_and_between_its_stages(
    run: Run, tmp_path: Path, stop_after: int
) -> None:
    chosen = settings(4, box_training="stagewise", checkpoint_every=2)
    assert_resumes(run, tmp_path, chosen, stop_after)


def test_fc_only_changes_no_convolution_from_imagenet(run: Run) -> None:
    before = new_model(run.dataset).state_dict()
    trained = train(new_model(run.dataset), replace(run, settings=settings(frozen="features")))
    after = changed(before, state_of(trained))
    assert {"fc6", "fc7", "score", "box"} <= of_layers(after)
    added = "features.laterals."  # not from ImageNet: new layers, like fc6
    assert any(name.startswith(added) for name in after)
    assert not any(name.startswith("features.") and added not in name for name in after)


def test_with_nothing_frozen_the_first_layer_learns_too(run: Run) -> None:
    before = new_model(run.dataset).state_dict()
    trained = train(new_model(run.dataset), replace(run, settings=settings(frozen="none")))
    assert "features.stem.weight" in changed(before, state_of(trained))


def test_lambda_weights_the_box_loss(run: Run) -> None:
    steps: list[StepReport] = []
    train(new_model(run.dataset), replace(run, settings=settings(2, box_weight=3.0)), steps.append)
    for step in steps:
        assert step.loss == pytest.approx(step.classification + 3 * step.box_regression, rel=1e-5)


def test_svms_replace_only_the_softmax(run: Run, tmp_path: Path) -> None:
    softmax = train(new_model(run.dataset), in_folder(run, tmp_path / "softmax", settings()))
    chosen = settings(classifier="svm", svm=SvmSettings(retrain_after=100))
    messages: list[str] = []
    svm = train(
        new_model(run.dataset), in_folder(run, tmp_path / "svm", chosen), on_svm=messages.append
    )
    assert len(messages) == 2 * len(run.dataset)
    assert changed(state_of(softmax), state_of(svm)) == {"score.weight", "score.bias"}
    model, _ = load_model(svm.path)
    assert model.architecture.classifier == "svm"
    found = detect_dataset(
        model, run.dataset, run.proposals, DetectSettings(score_threshold=None)
    ).found
    scores = np.concatenate([detections.scores for detections in found.values()])
    assert scores.min() < 0


def test_interrupted_svms_are_fitted_again(run: Run, tmp_path: Path) -> None:
    chosen = settings(classifier="svm", svm=SvmSettings(retrain_after=100))
    whole = train(new_model(run.dataset), in_folder(run, tmp_path / "whole", chosen))
    stopped = in_folder(run, tmp_path / "stopped", chosen)

    def stop(message: str) -> None:
        if "hard negatives, image 4" in message:
            raise Stopped

    with pytest.raises(Stopped):
        train(new_model(run.dataset), stopped, on_svm=stop)
    steps: list[StepReport] = []
    resumed = resume(stopped, steps.append)
    assert steps == []  # the network was already trained
    assert changed(state_of(whole), state_of(resumed)) == set()


def test_foreground_rois_overlap_objects(run: Run) -> None:
    batches = minibatches(run, sampling=replace(ROI_CENTRIC, flip=False))
    records = {record.image_id: record for record in run.dataset.images}
    for share in (batches[index] for index in range(8)):
        truth = records[share.image_ids[0]].truth
        assert truth is not None
        boxes = (share.rois[:, 1:] * 96 / 64).numpy()
        overlap = iou_matrix(boxes, truth.boxes).max()
        assert overlap > 0.49 if share.labels[0] else overlap < 0.51


def assert_resumes(run: Run, tmp_path: Path, chosen: TrainSettings, stop_after: int) -> None:
    """Assert that a run stopped after an iteration and resumed ends like an uninterrupted run."""
    whole = train(new_model(run.dataset), in_folder(run, tmp_path / "whole", chosen))
    stopped = in_folder(run, tmp_path / "stopped", chosen)

    def stop(step: StepReport) -> None:
        if step.iteration == stop_after + 1:
            raise Stopped

    with pytest.raises(Stopped):
        train(new_model(run.dataset), stopped, stop)
    resumed = resume(stopped)
    assert changed(state_of(whole), state_of(resumed)) == set()
    assert metrics_of(tmp_path / "whole") == metrics_of(tmp_path / "stopped")


def metrics_of(folder: Path) -> dict[int, dict[str, float]]:
    """The metrics of a run by iteration, without times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    timed = {"seconds", "waiting"}
    return {
        line["iteration"]: {name: value for name, value in line.items() if name not in timed}
        for line in lines
    }
