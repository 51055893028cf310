"""The training loop: the paper's step, from the first iteration or from a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from frcnn_cli.engine.datasets.findings import Finding
from frcnn_cli.engine.distributed.interrupt import StopRequest, stop_between_steps
from frcnn_cli.engine.models.initial import renormalise_boxes
from frcnn_cli.engine.models.provenance import dataset_fingerprint, with_dataset
from frcnn_cli.engine.models.store import MODEL_FILE, save_model
from frcnn_cli.engine.network.compile import compilation_explained, compile_features
from frcnn_cli.engine.network.losses import Losses
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.proposals.image_match import FilesRead, file_findings
from frcnn_cli.engine.training.box_statistics import box_statistics
from frcnn_cli.engine.training.cascade import set_refined_statistics
from frcnn_cli.engine.training.checkpoint import (
    Progress,
    load_checkpoint,
    restore_optimizer,
    resumable_after_failure,
    save_checkpoint,
)
from frcnn_cli.engine.training.metrics import METRICS_FILE, Write, appended_lines
from frcnn_cli.engine.training.minibatches import Minibatch, Minibatches, minibatch_stream
from frcnn_cli.engine.training.optimizer import averaged, make_optimizer, update_average
from frcnn_cli.engine.training.run import Run, StepReport, Trained
from frcnn_cli.engine.training.stages import set_trainable, stages
from frcnn_cli.engine.training.step import train_step
from frcnn_cli.engine.training.svm.fit import fit_svms
from frcnn_cli.engine.training.validation import validate_and_save_best, validation_is_due
from frcnn_cli.engine.training.workers import memory_explained
from frcnn_proposals.errors import InputError, MisuseError

OnStep = Callable[[StepReport], None]
OnSvm = Callable[[str], None]


def _ignore(_: object) -> None:
    """A callback that does nothing."""


def train(model: FastRCNN, run: Run, on_step: OnStep = _ignore, on_svm: OnSvm = _ignore) -> Trained:
    """Train from the first iteration, and write the model file at the end.

    After an interruption at any moment, the run's folder contains its last checkpoint.
    on_step: called after each iteration. on_svm: called with progress messages while SVMs are
    fitted.
    """
    if not run.settings.is_weak:
        _set_box_statistics(model, run)
    run.folder.mkdir(parents=True, exist_ok=True)
    return _train_from(Progress(0, run.settings, run.origin), model, {}, run, on_step, on_svm)


def _set_box_statistics(model: FastRCNN, run: Run) -> None:
    """Set whether the model learns boxes, and the target statistics of its training images."""
    learns_boxes = run.settings.box_training != "none"
    model.architecture = replace(
        model.architecture, box_regression=learns_boxes, classifier="softmax"
    )
    with memory_explained(run.settings, model.architecture.preprocessing):
        means, deviations = box_statistics(run, model.architecture.box_coding)
    renormalise_boxes(model, torch.from_numpy(means), torch.from_numpy(deviations))
    if model.second is not None:
        set_refined_statistics(model.second)


def resume(run: Run, on_step: OnStep = _ignore, on_svm: OnSvm = _ignore) -> Trained:
    """Resume from the run's last checkpoint, with the same result as an uninterrupted run."""
    model, optimizer_state, progress = load_checkpoint(run.folder)
    return _train_from(progress, model, optimizer_state, run, on_step, on_svm)


def _train_from(
    progress: Progress,
    model: FastRCNN,
    optimizer_state: Mapping[str, Tensor],
    run: Run,
    on_step: OnStep,
    on_svm: OnSvm,
) -> Trained:
    """Train from `progress` to the end, with the optimizer state of that iteration."""
    if run.settings.eval_every and run.validation is None:
        raise MisuseError("eval_every requires a validation set, and this run has none.")
    settings, team, start = run.settings, run.team, progress.iteration
    model.to(run.device).train()
    if settings.compile:
        compile_features(model)
    with _environment(model, run, start, on_step) as (stream, recorder, stop):
        for stage in stages(settings):
            set_trainable(model, stage, settings)
            # With a team, gradients are averaged over it as they are computed.
            network = model if team.world == 1 else DistributedDataParallel(model)
            optimizer = make_optimizer(model, settings.schedule)
            restore_optimizer(model, optimizer, optimizer_state if start > stage.start else {})
            if progress.awaits_validation and start <= stage.end:
                with averaged(optimizer):
                    recorder.score, progress = validate_and_save_best(model, run, progress)
            iterations = range(max(start, stage.start), stage.end)
            for iteration, shares in zip(iterations, stream, strict=False):
                rate = settings.schedule.rate_at(iteration - stage.start)
                losses = train_step(
                    network, recorder.timed(shares), optimizer, rate, stage.weights,
                    settings.precision == "bfloat16", team, settings.cascade_iou,
                    settings.weak,
                )  # fmt: skip
                if settings.averaging > 0:
                    update_average(optimizer, settings.averaging, iteration - stage.start)
                done = iteration + 1
                due = validation_is_due(run, done)
                progress = replace(progress, iteration=done, awaits_validation=due)
                recorder.record(done, losses, rate)
                stopping = any(team.gather(stop.made))
                # Before validation, which can take longer than all steps since the last checkpoint.
                if stopping or due or done % settings.checkpoint_every == 0:
                    progress = replace(progress, origin=recorder.with_files(progress.origin))
                    if team.is_first:
                        save_checkpoint(run.folder, model, optimizer, progress)
                if stopping:
                    raise KeyboardInterrupt
                if due:
                    with averaged(optimizer):
                        recorder.score, progress = validate_and_save_best(model, run, progress)
    unreadable, findings = recorder.unreadable_by_team(), recorder.findings_by_team()
    run = replace(run, origin=recorder.with_files(run.origin))
    if recorder.steps == 0 and start < settings.iterations:
        raise InputError(
            f"{run.dataset.name}: none of its images can be read.\n{next(iter(unreadable), '')}"
        )
    if team.is_first:
        _finish(progress, model, optimizer, run, on_svm)
    best = progress.best if team.is_first else None
    return Trained(run.folder / MODEL_FILE, unreadable, best, findings)


def _finish(
    progress: Progress, model: FastRCNN, optimizer: torch.optim.Optimizer, run: Run, on_svm: OnSvm
) -> None:
    """Fit SVMs if they are the classifier, and write the model file."""
    if run.settings.classifier == "svm":
        # After an interruption, fitting restarts from here.
        save_checkpoint(run.folder, model, optimizer, progress)
    with averaged(optimizer):
        if run.settings.classifier == "svm":
            fit_svms(model, run.dataset, run.proposals, run.settings, on_svm)
        with resumable_after_failure(run.folder):
            save_model(model.eval(), run.folder / MODEL_FILE, run.description())


@contextmanager
def _environment(
    model: FastRCNN, run: Run, start: int, on_step: OnStep
) -> Iterator[tuple[Generator[Iterator[Minibatch]], Recorder, StopRequest]]:
    """Set up the environment of the loop; explain errors of memory and compilation.

    Yields the mini-batches starting at iteration `start`, the recorder of steps, and the request
    to stop.
    """
    settings, architecture = run.settings, model.architecture
    minibatches = Minibatches(run.dataset, run.proposals, architecture, settings, run.team)
    with ExitStack() as stack:
        enter = stack.enter_context
        stream = enter(closing(minibatch_stream(minibatches, start, settings.workers, run.device)))
        write: Write = _ignore
        if run.team.is_first:
            write = enter(appended_lines(run.folder / METRICS_FILE, start))
        enter(memory_explained(settings, architecture.preprocessing, minibatches.images_at))
        enter(compilation_explained())
        # cuDNN's fastest algorithms sum in a different order each time.
        enter(torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True))
        yield stream, Recorder(run, write, on_step), enter(stop_between_steps())


@dataclass
class Recorder:
    """Times, writes and reports each step, and collects messages about unreadable images.

    write: appends a line to the run's metrics. score: the last mAP on val. steps: number of
    steps that had RoIs. unreadable: one message per image. started: start of the step, by
    perf_counter. waited: seconds that the step waited for its data. files: the files read.
    """

    run: Run
    write: Write
    on_step: OnStep
    score: float | None = None
    steps: int = 0
    unreadable: dict[str, None] = field(default_factory=dict)
    started: float = 0.0
    waited: float = 0.0
    files: FilesRead = field(init=False)

    def __post_init__(self) -> None:
        run = self.run
        start = dataset_fingerprint(run.origin)
        self.files = FilesRead(run.dataset, run.proposals, start)

    def timed(self, shares: Iterable[Minibatch]) -> Iterator[Minibatch]:
        """Yield the shares of the next step; its time starts now."""
        self.started, self.waited = time.perf_counter(), 0.0
        return self._noted(iter(shares))

    def _noted(self, shares: Iterator[Minibatch]) -> Iterator[Minibatch]:
        while True:
            before = time.perf_counter()
            share = next(shares, None)
            self.waited += time.perf_counter() - before
            if share is None:
                return
            self.unreadable |= dict.fromkeys(share.unreadable)
            self.files.add(share.image_ids, share.files)
            yield share

    def record(self, iteration: int, losses: Losses | None, rate: float) -> None:
        """Write and report the completed step, unless it had no RoIs."""
        if losses is None:
            return
        self.steps += 1
        is_weak = self.run.settings.is_weak
        step = StepReport(
            iteration,
            loss=losses.total.item(),
            classification=losses.classification.item(),
            box_regression=None if is_weak else losses.box_regression.item(),
            refinement=losses.refinement.item() if is_weak else None,
            learning_rate=rate,
            images=self.run.settings.sampling.images,
            seconds=time.perf_counter() - self.started,
            waiting=self.waited,
        )
        self.write(step.measured())
        self.on_step(replace(step, evaluation=self.score, problem=self.files.problem))

    def with_files(self, origin: dict[str, Any]) -> dict[str, Any]:
        """The origin, whose fingerprint has the image files that all processes have read."""
        read = {name: file.digest for name, file in self.files.files.items()}
        parts = self.run.team.gather(read)
        fingerprint = dataset_fingerprint(origin)
        if fingerprint is None:
            return origin
        for digests in parts:
            fingerprint = fingerprint.with_files(digests)
        return with_dataset(origin, fingerprint)

    def findings_by_team(self) -> tuple[Finding, ...]:
        """Warnings about the image files that all processes have read."""
        parts = self.run.team.gather(self.files.files)
        files = {name: file for part in parts for name, file in part.items()}
        return tuple(file_findings(self.run.dataset, self.run.proposals, files))

    def unreadable_by_team(self) -> tuple[str, ...]:
        """The messages of all processes, without duplicates."""
        parts = self.run.team.gather(list(self.unreadable))
        messages = self.unreadable | dict.fromkeys(text for part in parts for text in part)
        return tuple(messages)
