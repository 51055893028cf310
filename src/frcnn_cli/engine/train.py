"""Training: the paper's step (section 2.3), and the loop around it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from frcnn_cli.engine.backbones import find_backbone
from frcnn_cli.engine.losses import Losses, multi_task_loss
from frcnn_cli.engine.minibatches import Minibatch, Minibatches, minibatch_stream
from frcnn_cli.engine.model import FastRCNN
from frcnn_cli.engine.models import MODEL_FILE, save_model
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.sampling import Candidates, match_candidates, target_statistics
from frcnn_cli.engine.seeds import seed_for
from frcnn_cli.engine.settings import Schedule, TrainSettings
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
    model: FastRCNN, batch: Minibatch, optimizer: torch.optim.SGD, rate: float
) -> Losses:
    """Forward, loss, backward, update: one mini-batch of sampled RoIs.

    Raises InputError, naming the images, where the loss is not finite.
    """
    outputs = model(batch.images, batch.rois)
    targets = model.normalise(batch.targets, batch.labels)
    losses = multi_task_loss(outputs.logits, outputs.offsets, batch.labels, targets)
    if not math.isfinite(losses.total.item()):
        raise InputError(
            f"The loss is not finite for the images {', '.join(batch.image_ids)}.\n"
            "Lower --learning-rate, or look at their boxes with `frcnn data check`."
        )
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]
    optimizer.zero_grad(set_to_none=True)
    losses.total.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return losses


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
        "sampling.strategy roi-centric": settings.sampling.strategy != "hierarchical",
        "sampling.scales": bool(settings.sampling.scales),
        "box_training other than multi-task": settings.box_training != "multi-task",
        "frozen other than default": settings.frozen != "default",
        "the classifier svm": settings.classifier != "softmax",
        "box_weight other than 1": settings.box_weight != 1.0,
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


def make_optimizer(model: FastRCNN, schedule: Schedule) -> torch.optim.SGD:
    """SGD with momentum; biases learn twice as fast and do not decay, as in the first
    implementation. Feature layers that come from ImageNet learn at the backbone's own pace."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_bias = name.endswith("bias")
            rate = _rate_factor(model, name) * (2.0 if is_bias else 1.0)
            decay = 0.0 if is_bias else schedule.weight_decay
            groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.SGD(
        [
            {"params": parameters, "rate_factor": rate, "weight_decay": decay}
            for (rate, decay), parameters in groups.items()
        ],
        lr=schedule.learning_rate,
        momentum=schedule.momentum,
    )


def _rate_factor(model: FastRCNN, name: str) -> float:
    backbone = find_backbone(model.architecture.backbone)
    layer = name.removeprefix("features.")
    is_new = layer == name or layer.startswith(backbone.new_layers)
    if is_new or not model.architecture.pretrained:
        return 1.0
    return backbone.pretrained_rate


def _fit(
    model: FastRCNN,
    run: Run,
    report: Callable[[StepReport], None],
    start: int,
    momenta: Mapping[str, Tensor],
) -> Trained:
    _refuse_unfinished(run.settings)
    schedule = run.settings.schedule
    model.to(run.device).train()
    optimizer = make_optimizer(model, schedule)
    _restore_momenta(model, optimizer, momenta)
    minibatches = Minibatches(run.dataset, run.proposals, model.architecture, run.settings)
    stream = minibatch_stream(minibatches, start, run.settings.workers)
    unreadable: dict[str, None] = {}
    steps = 0
    with (run.folder / METRICS_FILE).open("a", buffering=1, encoding="utf-8") as metrics:
        for iteration, batch in enumerate(stream, start):
            unreadable |= dict.fromkeys(batch.unreadable)
            if not batch.image_ids:
                continue
            steps += 1
            # Dropout depends on the iteration alone, so that a resumed run repeats it.
            torch.manual_seed(seed_for(run.settings.seed, "step", iteration))
            rate = schedule.rate_at(iteration)
            losses = train_step(model, batch.to(run.device), optimizer, rate)
            step = _step_report(iteration + 1, losses, rate)
            metrics.write(json.dumps(asdict(step)) + "\n")
            report(step)
            if step.iteration % run.settings.checkpoint_every == 0:
                progress = Progress(step.iteration, run.settings, run.origin)
                save_checkpoint(run.folder, model, optimizer, progress)
    if steps == 0 and start < schedule.iterations:
        raise InputError(
            f"{run.dataset.name}: none of its images can be read.\n{next(iter(unreadable), '')}"
        )
    path = run.folder / MODEL_FILE
    save_model(model.eval(), path, run.origin | {"settings": asdict(run.settings)})
    return Trained(path, tuple(unreadable))


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
        if name in momenta:
            buffer = torch.empty_like(parameter).copy_(momenta[name])
            optimizer.state[parameter]["momentum_buffer"] = buffer
