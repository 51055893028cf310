"""A training run: its data, settings and folder, prepared from an experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frcnn_cli.engine.datasets.find import default_splits
from frcnn_cli.engine.datasets.findings import Finding, act_on, class_findings
from frcnn_cli.engine.datasets.fingerprint import Fingerprint
from frcnn_cli.engine.datasets.open import open_dataset
from frcnn_cli.engine.distributed.connect import own_device
from frcnn_cli.engine.distributed.devices import (
    choose_precision,
    has_fast_bfloat16,
    missing_instructions,
)
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.models.provenance import origin_of, proposals_fingerprint
from frcnn_cli.engine.models.store import RUNS
from frcnn_cli.engine.network.backbones.find import find_defaults
from frcnn_cli.engine.proposals.for_dataset import proposals_for
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import (
    DataSettings,
    DetectSettings,
    Experiment,
    Precision,
    TrainSettings,
)
from frcnn_cli.engine.settings.fields import nested
from frcnn_cli.engine.training.weak.labels import label_findings, without_boxes
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.wording import counted

if TYPE_CHECKING:
    import torch

VALIDATION_SPLIT = "val"


@dataclass(frozen=True)
class RunOptions:
    """Where a run is stored and computed. These options are no part of its experiment.

    folder: None creates a new one in runs_root. device: a value that `find_device` accepts.
    workers: number of processes that prepare batches; None takes the experiment's.
    emulate_bfloat16: compute in bfloat16 even on a device without instructions for it.
    on_setting: called with a new run's complete experiment before any long work starts.
    """

    folder: Path | None = None
    runs_root: Path = RUNS
    device: str = "auto"
    team: Team = ALONE
    tensorboard: bool = False
    emulate_bfloat16: bool = False
    workers: int | None = None
    on_setting: Callable[[Experiment], None] = lambda experiment: None


@dataclass(frozen=True)
class Validation:
    """The images on which a model is scored during training.

    settings: detection settings, without a score threshold.
    """

    dataset: Dataset
    proposals: Mapping[str, Proposals]
    settings: DetectSettings = field(default_factory=lambda: DetectSettings(score_threshold=None))


def _cpu() -> torch.device:
    import torch

    return torch.device("cpu")


@dataclass(frozen=True)
class Run:
    """A training run: its folder, data, settings and device.

    origin: JSON values that describe the run in the model's file. validation: the images on
    which the model is scored every settings.eval_every iterations. team: the processes that
    train together; the first one writes the folder. unchecked: box_statistics checks the boxes.
    """

    folder: Path
    dataset: Dataset
    proposals: Mapping[str, Proposals]
    settings: TrainSettings = field(default_factory=TrainSettings)
    device: torch.device = field(default_factory=_cpu)
    origin: dict[str, Any] = field(default_factory=dict)
    validation: Validation | None = None
    team: Team = ALONE
    unchecked: bool = False

    def description(self) -> dict[str, Any]:
        """The origin to store in the model: the whole experiment, or at least the settings."""
        if "experiment" in self.origin:
            return self.origin
        return self.origin | {"settings": nested(self.settings)}


@dataclass(frozen=True)
class StepReport:
    """One iteration's losses (averages over its RoIs or labelled images) and learning rate.

    images: number of images over all processes. seconds: duration, including the wait for data.
    waiting: seconds of that wait. evaluation: the last mAP on val since the run was started or
    resumed. problem: of the first image that differs from its annotation or proposals.
    box_regression: None if training uses image labels. refinement: only then; 0 for WSDDN.
    """

    iteration: int
    loss: float
    classification: float
    box_regression: float | None
    learning_rate: float
    images: int
    seconds: float
    waiting: float
    evaluation: float | None = None
    problem: str | None = None
    refinement: float | None = None

    def measured(self) -> dict[str, float]:
        """The values of the step for a line of METRICS_FILE."""
        not_measured = ("evaluation", "problem")
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in not_measured and value is not None
        }


@dataclass(frozen=True)
class Trained:
    """The result of a run: its model file, and a message for each unreadable image.

    best: mAP (0 to 1) on val of the best model, which is stored as BEST_FILE in the same folder;
    None if no model was evaluated. findings: about the images that were read.
    """

    path: Path
    unreadable: tuple[str, ...]
    best: float | None = None
    findings: tuple[Finding, ...] = ()


def prepare_run(
    experiment: Experiment,
    data: Dataset,
    folder: Path,
    options: RunOptions,
    reporter: Reporter,
    is_new: bool,
) -> Run:
    """Prepare the run of an experiment: read its proposals from a file or compute them."""
    team, source = options.team, experiment.proposals
    device = own_device(team, options.device)
    settings = _without_emulation(experiment.train, device, options, reporter)
    if options.workers is not None:
        settings = replace(settings, workers=options.workers)
    validation = None
    read = partial(proposals_for, reporter, settings=source, data_root=experiment.data.folder)
    with team.first_alone():
        found = read(data, checked_later=is_new and not settings.is_weak)
        if settings.eval_every:
            val = validation_dataset(experiment.data, data, source.allow_mismatch, reporter)
            of_val = read(val)
            detect = replace(experiment.detect, score_threshold=None, precision=settings.precision)
            validation = Validation(of_val.dataset, of_val.proposals, detect)
    of_proposals = proposals_fingerprint(found.path, found.proposals, is_cache=not source.file)
    origin = origin_of(experiment, of_proposals, Fingerprint.of(found.dataset, found.digests))
    others = (device, origin, validation, team, found.unchecked)
    return Run(folder, found.dataset, found.proposals, settings, *others)


def with_split(experiment: Experiment, reporter: Reporter) -> Experiment:
    """The experiment with its split; if it names none, the default training split."""
    data = experiment.data
    if not data.split:
        splits = default_splits(data.dataset, data.folder, experiment.train.is_weak)
        if not (splits.disjoint or data.val_share):
            reporter.warn(
                f"{data.dataset} has only one annotated split: no images are left for evaluation. "
                "--val-share 0.2 holds out a fifth of them."
            )
        data = replace(data, split=splits.training)
    return replace(experiment, data=data)


def with_length(experiment: Experiment, images: int, reporter: Reporter) -> Experiment:
    """The experiment with its number of iterations for this number of training images."""
    settings = experiment.train
    schedule = settings.schedule.for_images(images, settings.sampling.images_per_iteration)
    if schedule.iterations != settings.schedule.iterations:
        passes = schedule.iterations * settings.sampling.images_per_iteration / images
        times = "1 pass" if f"{passes:.3g}" == "1" else f"{passes:.3g} passes"
        reporter.note(
            f"{counted(schedule.iterations, 'iteration')}, {times} over {counted(images, 'image')} "
            "(--epochs or --iterations changes this)"
        )
    return replace(experiment, train=replace(settings, schedule=schedule))


def training_dataset(experiment: Experiment, reporter: Reporter) -> Dataset:
    """The split to train on, checked (see open_dataset); for image labels, without boxes."""
    data = experiment.data
    dataset = open_dataset(
        data.dataset,
        data.training_split,
        data.folder,
        allow_mismatch=experiment.proposals.allow_mismatch,
        reporter=reporter,
    )
    if experiment.train.is_weak:
        dataset = without_boxes(dataset)
        act_on(label_findings(dataset), True, reporter)
    else:
        act_on(class_findings([dataset]), True, reporter)
    return dataset


def validation_dataset(
    data: DataSettings,
    training: Dataset,
    allow_mismatch: bool = False,
    reporter: Reporter = SILENT,
) -> Dataset:
    """The val split of the same dataset as `training`, or the images that the run holds out.

    Raises MisuseError if it does not exist, is not annotated, has other classes, or shares an
    image with `training`: the best model must not be selected on images that it has learned.
    """
    fix = (
        "Omit --eval-every, train on a split that excludes val (--split train), or hold out images "
        "(--val-share 0.2)."
    )
    try:
        found = open_dataset(
            data.dataset,
            data.held_out_split or VALIDATION_SPLIT,
            data.folder,
            allow_mismatch=allow_mismatch,
            reporter=reporter,
        )
    except MisuseError as error:
        raise MisuseError(f"No val split to evaluate on: {error}\n{fix}") from error
    trained = {record.path.resolve() for record in training.images}
    shared = sum(record.path.resolve() in trained for record in found.images)
    if shared:
        raise MisuseError(
            f"{counted(shared, 'image of the val split is', 'images of the val split are')} also "
            f"in the training split {training.split}.\n{fix}"
        )
    if any(record.truth is None for record in found.images) or not found.images:
        raise MisuseError(f"The val split of {data.dataset} is not annotated.\n{fix}")
    if found.classes != training.classes:
        raise MisuseError(
            f"The val split of {data.dataset} has other classes than the training split.\n{fix}"
        )
    return found


def with_precision(experiment: Experiment, options: RunOptions) -> Experiment:
    """The experiment with its precision; `auto` is replaced by the choice for this device.

    Raises MisuseError for bfloat16 if this device would have to emulate it.
    """
    choice = experiment.train.precision
    if choice == "bfloat16" and options.emulate_bfloat16:
        return experiment
    device = own_device(options.team, options.device)
    measured = find_defaults(experiment.backbone).bfloat16
    chosen = options.team.gather(choose_precision(choice, device, measured))
    precision: Precision = "float32" if "float32" in chosen else "bfloat16"
    return replace(experiment, train=replace(experiment.train, precision=precision))


def _without_emulation(
    settings: TrainSettings, device: torch.device, options: RunOptions, reporter: Reporter
) -> TrainSettings:
    """The settings, changed to float32 with a warning if bfloat16 would be emulated."""
    fast = all(options.team.gather(has_fast_bfloat16(device)))
    if settings.precision != "bfloat16" or fast or options.emulate_bfloat16:
        return settings
    reporter.warn(
        f"This run started in bfloat16, but {missing_instructions(device)}: it continues in "
        "float32, so its weights will not be bit for bit those of an uninterrupted run.\n"
        "Use --emulate-bfloat16 to stay in bfloat16 (up to 100 times slower)."
    )
    return replace(settings, precision="float32")
