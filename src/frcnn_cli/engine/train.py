"""Training: the paper's step (section 2.3), and the loop around it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from frcnn_cli.engine.losses import BOTH, Losses, LossWeights, multi_task_loss
from frcnn_cli.engine.minibatches import Minibatch, Minibatches, minibatch_stream
from frcnn_cli.engine.model import FastRCNN
from frcnn_cli.engine.models import MODEL_FILE, save_model
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.sampling import Candidates, match_candidates, target_statistics
from frcnn_cli.engine.seeds import seed_for
from frcnn_cli.engine.settings import TrainSettings
from frcnn_cli.engine.stages import let_learn, make_optimizer, stages
from frcnn_cli.engine.training_state import Progress, load_checkpoint, save_checkpoint
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError, MisuseError

METRICS_FILE = "metrics.jsonl"


@dataclass(frozen=True)
class StepReport:
    """One iteration's losses (averages over its RoIs) and learning rate."""

    iteration: int
    loss: float
    classification: float
    box_regression: float
    learning_rate: float


@dataclass(frozen=True)
class Run:
    """A training run: its folder, what it trains on, how, and where.

    origin: JSON values that say all this to whoever reads the model later.
    """

    folder: Path
    dataset: Dataset
    proposals: Mapping[str, Proposals]
    settings: TrainSettings = field(default_factory=TrainSettings)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    origin: dict[str, Any] = field(default_factory=dict)


def train_step(
    model: FastRCNN,
    minibatch: Iterable[Minibatch],
    optimizer: torch.optim.SGD,
    rate: float,
    weights: LossWeights = BOTH,
) -> Losses | None:
    """Sample, forward, loss, backward, update: one mini-batch of RoIs.

    minibatch: its shares, sampled as they are taken. Their gradients add up, so that memory
    holds one share at a time. Returns the losses, averaged over all RoIs; None, and no update,
    where there are no shares. Raises InputError, naming the images, where a loss is not finite.
    """
    optimizer.zero_grad(set_to_none=True)
    sums, rois, shares = torch.zeros(3), 0, 0
    for share in minibatch:
        outputs = model(share.images, share.rois)
        targets = model.normalise(share.targets, share.labels)
        losses = multi_task_loss(outputs.logits, outputs.offsets, share.labels, targets, weights)
        _refuse_non_finite(losses, share)
        (losses.total * len(share.labels)).backward()  # type: ignore[no-untyped-call]
        sums += len(share.labels) * torch.stack(losses).detach().cpu()
        rois, shares = rois + len(share.labels), shares + 1
    if shares == 0:
        return None
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.grad /= max(1, rois)
    optimizer.step()
    return Losses(*(sums / max(1, rois)))


def _refuse_non_finite(losses: Losses, share: Minibatch) -> None:
    if not math.isfinite(losses.total.item()):
        raise InputError(
            f"The loss is not finite for the images {', '.join(share.image_ids)}.\n"
            "Lower --learning-rate, or look at their boxes with `frcnn data check`."
        )


@dataclass(frozen=True)
class Trained:
    """What a run ended with: its model file, and a message for each image it could not read."""

    path: Path
    unreadable: tuple[str, ...]


def _say_nothing(_: StepReport) -> None:
    """The report of someone who does not listen."""


def train(
    model: FastRCNN, run: Run, report: Callable[[StepReport], None] = _say_nothing
) -> Trained:
    """Train from the first iteration; the model file is written at the end.

    Interrupted at any moment, the run's folder holds its last checkpoint.
    """
    _refuse_unfinished(run.settings)
    learns_boxes = run.settings.box_training != "none"
    model.architecture = replace(model.architecture, box_regression=learns_boxes)
    sampling = run.settings.sampling
    means, deviations = target_statistics(
        training_candidates(run),
        len(run.dataset.classes),
        sampling.foreground_iou,
        model.architecture.box_coding,
        with_flipped=sampling.flip,
    )
    model.offset_means.copy_(torch.from_numpy(means))
    model.offset_deviations.copy_(torch.from_numpy(deviations))
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / METRICS_FILE).unlink(missing_ok=True)
    return _fit(model, run, report, start=0, momenta={})


def resume(run: Run, report: Callable[[StepReport], None] = _say_nothing) -> Trained:
    """Go on from the run's last checkpoint, to the same end as without the interruption."""
    model, momenta, progress = load_checkpoint(run.folder)
    return _fit(model, run, report, progress.iteration, momenta)


def _refuse_unfinished(settings: TrainSettings) -> None:
    """Raise MisuseError for what can be set already but is not carried out yet."""
    unfinished = {
        "the classifier svm": settings.classifier != "softmax",
        "eval_every": settings.eval_every > 0,
    }
    for name, asked in unfinished.items():
        if asked:
            raise MisuseError(f"{name[0].upper()}{name[1:]}: training does not know this yet.")


def training_candidates(run: Run) -> Iterator[Candidates]:
    """The candidates of every image, from which RoIs are sampled."""
    for record in run.dataset.images:
        if record.truth is None:
            raise MisuseError(
                f"{run.dataset.name}, split {run.dataset.split}: image {record.image_id} has no "
                "annotation to learn from.\nTrain on a split that is annotated."
            )
        boxes = run.proposals[record.image_id].top(run.settings.proposals).boxes
        yield match_candidates(boxes, record.truth, run.settings.sampling.foreground_iou)


def _fit(
    model: FastRCNN,
    run: Run,
    report: Callable[[StepReport], None],
    start: int,
    momenta: Mapping[str, Tensor],
) -> Trained:
    _refuse_unfinished(run.settings)
    model.to(run.device).train()
    minibatches = Minibatches(run.dataset, run.proposals, model.architecture, run.settings)
    stream = minibatch_stream(minibatches, start, run.settings.workers)
    unreadable: dict[str, None] = {}
    steps = 0
    with (run.folder / METRICS_FILE).open("a", buffering=1, encoding="utf-8") as metrics:
        for stage in stages(run.settings):
            let_learn(model, stage, run.settings)
            optimizer = make_optimizer(model, run.settings.schedule)
            _restore_momenta(model, optimizer, momenta if start > stage.start else {})
            of_stage = range(max(start, stage.start), stage.end)
            for iteration, shares in zip(of_stage, stream, strict=False):
                # Dropout depends on the iteration alone, so that a resumed run repeats it.
                torch.manual_seed(seed_for(run.settings.seed, "step", iteration))
                rate = run.settings.schedule.rate_at(iteration - stage.start)
                minibatch = _readable(shares, run.device, unreadable)
                losses = train_step(model, minibatch, optimizer, rate, stage.weights)
                if losses is None:
                    continue
                steps += 1
                step = _step_report(iteration + 1, losses, rate)
                metrics.write(json.dumps(asdict(step)) + "\n")
                report(step)
                if step.iteration % run.settings.checkpoint_every == 0:
                    progress = Progress(step.iteration, run.settings, run.origin)
                    save_checkpoint(run.folder, model, optimizer, progress)
    if steps == 0 and start < run.settings.iterations:
        raise InputError(
            f"{run.dataset.name}: none of its images can be read.\n{next(iter(unreadable), '')}"
        )
    path = run.folder / MODEL_FILE
    save_model(model.eval(), path, run.origin | {"settings": asdict(run.settings)})
    return Trained(path, tuple(unreadable))


def _readable(
    shares: Iterable[Minibatch], device: torch.device, unreadable: dict[str, None]
) -> Iterator[Minibatch]:
    """The shares that hold images, on `device`; messages of those left out join `unreadable`."""
    for share in shares:
        unreadable |= dict.fromkeys(share.unreadable)
        if share.image_ids:
            yield share.to(device)


def _step_report(iteration: int, losses: Losses, rate: float) -> StepReport:
    return StepReport(
        iteration,
        loss=losses.total.item(),
        classification=losses.classification.item(),
        box_regression=losses.box_regression.item(),
        learning_rate=rate,
    )


def _restore_momenta(
    model: FastRCNN, optimizer: torch.optim.SGD, momenta: Mapping[str, Tensor]
) -> None:
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and name in momenta:
            buffer = torch.empty_like(parameter).copy_(momenta[name])
            optimizer.state[parameter]["momentum_buffer"] = buffer
