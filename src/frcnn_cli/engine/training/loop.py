"""Training: the loop around the paper's step, from its first iteration or from a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from frcnn_cli.engine.distributed.interrupt import stop_between_steps
from frcnn_cli.engine.distributed.team import averaging
from frcnn_cli.engine.models.initial import renormalise_boxes
from frcnn_cli.engine.models.store import MODEL_FILE, save_model
from frcnn_cli.engine.network.compile import compilation_explained, compile_features
from frcnn_cli.engine.network.losses import Losses
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.training.best_model import evaluated, evaluation_is_due
from frcnn_cli.engine.training.metrics import METRICS_FILE, appended_lines
from frcnn_cli.engine.training.minibatches import Minibatch, Minibatches, minibatch_stream
from frcnn_cli.engine.training.out_of_memory import memory_explained
from frcnn_cli.engine.training.run import Run, StepReport, Trained
from frcnn_cli.engine.training.sampling import Candidates, match_candidates, target_statistics
from frcnn_cli.engine.training.stages import let_learn, make_optimizer, stages
from frcnn_cli.engine.training.state import (
    Progress,
    load_checkpoint,
    restore_optimizer,
    resumable_after_failure,
    save_checkpoint,
)
from frcnn_cli.engine.training.step import train_step
from frcnn_cli.engine.training.svm import fit_svms
from frcnn_proposals.errors import InputError, MisuseError


def _say_nothing(_: StepReport | str) -> None:
    """The report of someone who does not listen."""


def _write_nothing(_: Mapping[str, Any]) -> None:
    """The metrics of a process that is not the first."""


def train(
    model: FastRCNN,
    run: Run,
    report: Callable[[StepReport], None] = _say_nothing,
    report_svms: Callable[[str], None] = _say_nothing,
) -> Trained:
    """Train from the first iteration; the model file is written at the end.

    Interrupted at any moment, the run's folder holds its last checkpoint.
    """
    learns_boxes = run.settings.box_training != "none"
    model.architecture = replace(
        model.architecture, box_regression=learns_boxes, classifier="softmax"
    )
    sampling = run.settings.sampling
    means, deviations = target_statistics(
        training_candidates(run),
        len(run.dataset.classes),
        sampling.foreground_iou,
        model.architecture.box_coding,
        with_flipped=sampling.flip,
    )
    renormalise_boxes(model, torch.from_numpy(means), torch.from_numpy(deviations))
    run.folder.mkdir(parents=True, exist_ok=True)
    progress = Progress(0, run.settings, run.origin)
    return _fit(model, run, report, report_svms, progress, memory={})


def resume(
    run: Run,
    report: Callable[[StepReport], None] = _say_nothing,
    report_svms: Callable[[str], None] = _say_nothing,
) -> Trained:
    """Go on from the run's last checkpoint, to the same end as without the interruption."""
    model, memory, progress = load_checkpoint(run.folder)
    return _fit(model, run, report, report_svms, progress, memory)


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
    report_svms: Callable[[str], None],
    progress: Progress,
    memory: Mapping[str, Tensor],
) -> Trained:
    if run.settings.eval_every and run.validation is None:
        raise MisuseError("eval_every needs a validation set, and this run has none.")
    settings, start, unreadable = run.settings, progress.iteration, dict[str, None]()
    model.to(run.device).train()
    if settings.compile:
        compile_features(model)
    team, first = run.team, run.team.is_first
    minibatches = Minibatches(run.dataset, run.proposals, model.architecture, settings, team)
    steps, score = 0, None
    with (
        closing(minibatch_stream(minibatches, start, settings.workers)) as stream,
        appended_lines(run.folder / METRICS_FILE, start)
        if first
        else nullcontext(_write_nothing) as write_metrics,
        memory_explained(settings, model.architecture.preprocessing, minibatches.images_at),
        compilation_explained(),
        # cuDNN's fastest algorithms add in another order each time.
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
        stop_between_steps() as stop,
    ):
        for stage in stages(settings):
            let_learn(model, stage, settings)
            network = averaging(model, team)
            optimizer = make_optimizer(model, settings.schedule)
            restore_optimizer(model, optimizer, memory if start > stage.start else {})
            of_stage = range(max(start, stage.start), stage.end)
            for iteration, shares in zip(of_stage, stream, strict=False):
                rate = settings.schedule.rate_at(iteration - stage.start)
                watch = Stopwatch()
                minibatch = _readable(watch.waiting_for(shares), run.device, unreadable)
                losses = train_step(
                    network, minibatch, optimizer, rate, stage.weights,
                    settings.precision == "bfloat16", team,
                )  # fmt: skip
                if losses is not None:
                    steps += 1
                    images = settings.sampling.images
                    step = _step_report(iteration + 1, losses, rate, images, watch)
                    write_metrics(step.measured())
                    report(replace(step, evaluation=score))
                progress = replace(progress, iteration=iteration + 1)
                if evaluation_is_due(run, progress):
                    score, progress = evaluated(model, run, progress)
                stopping = any(team.gather(stop.made))
                if first and (stopping or progress.iteration % settings.checkpoint_every == 0):
                    save_checkpoint(run.folder, model, optimizer, progress)
                if stopping:
                    raise KeyboardInterrupt
    unreadable |= dict.fromkeys(each for part in team.gather(list(unreadable)) for each in part)
    if steps == 0 and start < settings.iterations:
        raise InputError(
            f"{run.dataset.name}: none of its images can be read.\n{next(iter(unreadable), '')}"
        )
    path = run.folder / MODEL_FILE
    if not first:
        return Trained(path, tuple(unreadable))
    if settings.classifier == "svm":
        # Interrupted, fitting begins again from here.
        save_checkpoint(run.folder, model, optimizer, progress)
        fit_svms(model, run.dataset, run.proposals, settings, report_svms)
    with resumable_after_failure(run.folder):
        save_model(model.eval(), path, run.description())
    return Trained(path, tuple(unreadable), progress.best)


def _readable(
    shares: Iterable[Minibatch], device: torch.device, unreadable: dict[str, None]
) -> Iterator[Minibatch]:
    """The shares on `device`; messages of images that are left out join `unreadable`."""
    for share in shares:
        unreadable |= dict.fromkeys(share.unreadable)
        yield share.to(device)


def _step_report(
    iteration: int, losses: Losses, rate: float, images: int, watch: Stopwatch
) -> StepReport:
    return StepReport(
        iteration,
        loss=losses.total.item(),
        classification=losses.classification.item(),
        box_regression=losses.box_regression.item(),
        learning_rate=rate,
        images=images,
        seconds=watch.elapsed,
        waiting=watch.waited,
    )


Item = TypeVar("Item")


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.waited = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._started

    def waiting_for(self, items: Iterable[Item]) -> Iterator[Item]:
        """The same items; what each takes to come counts as waiting."""
        source = iter(items)
        while True:
            asked = time.perf_counter()
            try:
                item = next(source)
            except StopIteration:
                return
            finally:
                self.waited += time.perf_counter() - asked
            yield item
