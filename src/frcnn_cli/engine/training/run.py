"""A training run: its data, settings and folder; how it is made from an experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frcnn_cli.engine.datasets.find import default_splits
from frcnn_cli.engine.datasets.findings import Finding
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
from frcnn_cli.engine.network.backbones.find import find_defaults
from frcnn_cli.engine.proposals.for_dataset import DatasetProposals, proposals_for
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
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError

if TYPE_CHECKING:
    import torch

VALIDATION_SPLIT = "val"


@dataclass(frozen=True)
class RunOptions:
    """Where a run is stored and computed; no part of its experiment.

    folder: None makes a new one in runs_root. device: as `find_device` takes it.
    workers: processes that prepare batches, in place of the experiment's. emulate_bfloat16:
    compute in bfloat16 even on a device that has no instructions for it. on_setting: called
    with a new run's complete experiment before anything long begins.
    """

    folder: Path | None = None
    runs_root: Path = Path("runs")
    device: str = "auto"
    team: Team = ALONE
    tensorboard: bool = False
    emulate_bfloat16: bool = False
    workers: int | None = None
    on_setting: Callable[[Experiment], None] = lambda experiment: None


@dataclass(frozen=True)
class Validation:
    """The images to score a model on as it trains. settings: of detection, without threshold."""

    dataset: Dataset
    proposals: Mapping[str, Proposals]
    settings: DetectSettings = field(default_factory=lambda: DetectSettings(score_threshold=None))


def _cpu() -> torch.device:
    import torch

    return torch.device("cpu")


@dataclass(frozen=True)
class Run:
    """A training run: its folder, what it trains on, how, and where.

    origin: JSON values that describe all this in the model's file.
    validation: what settings.eval_every scores the model on. team: the processes that train
    together, of which the first writes the folder.
    """

    folder: Path
    dataset: Dataset
    proposals: Mapping[str, Proposals]
    settings: TrainSettings = field(default_factory=TrainSettings)
    device: torch.device = field(default_factory=_cpu)
    origin: dict[str, Any] = field(default_factory=dict)
    validation: Validation | None = None
    team: Team = ALONE

    def description(self) -> dict[str, Any]:
        """The origin of its model: the whole experiment, or at least the settings."""
        if "experiment" in self.origin:
            return self.origin
        return self.origin | {"settings": nested(self.settings)}


@dataclass(frozen=True)
class StepReport:
    """One iteration's losses (averages over its RoIs) and learning rate.

    images: their number, over all processes. seconds: duration, with the wait for data; waiting:
    only that wait. evaluation: the last mAP on val since the run was started or
    resumed. problem: of the first image that differs from its annotation or proposals.
    """

    iteration: int
    loss: float
    classification: float
    box_regression: float
    learning_rate: float
    images: int
    seconds: float
    waiting: float
    evaluation: float | None = None
    problem: str | None = None

    def measured(self) -> dict[str, float]:
        """As a line of METRICS_FILE: what the step itself has shown."""
        not_measured = ("evaluation", "problem")
        return {name: value for name, value in asdict(self).items() if name not in not_measured}


@dataclass(frozen=True)
class Trained:
    """What a run ended with: its model file, and a message for each image it could not read.

    best: mean average precision of the best model on val, which lies beside it in BEST_FILE;
    None where none was evaluated. findings: about the images that it read.
    """

    path: Path
    unreadable: tuple[str, ...]
    best: float | None = None
    findings: tuple[Finding, ...] = ()


def prepare_run(
    experiment: Experiment, data: Dataset, folder: Path, options: RunOptions, reporter: Reporter
) -> Run:
    """The run of an experiment, its proposals read from their file or computed."""
    team, device = options.team, own_device(options.team, options.device)
    settings = _without_emulation(experiment.train, device, options, reporter)
    if options.workers is not None:
        settings = replace(settings, workers=options.workers)
    validation = None
    with team.first_alone():
        found = _proposals(experiment, data, reporter)
        if settings.eval_every:
            allow_mismatch = experiment.proposals.allow_mismatch
            val = validation_dataset(experiment.data, data, allow_mismatch, reporter)
            of_val = _proposals(experiment, val, reporter)
            detect = replace(experiment.detect, score_threshold=None, precision=settings.precision)
            validation = Validation(of_val.dataset, of_val.proposals, detect)
    fingerprint = Fingerprint.of(found.dataset, found.digests)
    of_proposals = proposals_fingerprint(found.path, found.proposals)
    origin = origin_of(experiment, of_proposals, fingerprint)
    return Run(folder, found.dataset, found.proposals, settings, device, origin, validation, team)


def _proposals(experiment: Experiment, data: Dataset, reporter: Reporter) -> DatasetProposals:
    chosen = experiment.proposals
    return proposals_for(
        reporter,
        data,
        Path(chosen.file) if chosen.file else None,
        chosen.source,
        data_root=experiment.data.folder,
        allow_mismatch=chosen.allow_mismatch,
    )


def with_split(experiment: Experiment, reporter: Reporter) -> Experiment:
    """The experiment with a split to train on, chosen where it names none."""
    data = experiment.data
    if data.split:
        return experiment
    splits = default_splits(data.dataset, data.folder)
    if not splits.disjoint:
        reporter.warn(f"{data.dataset} has only one split: no images are left to evaluate on.")
    return replace(experiment, data=replace(data, split=splits.training))


def training_dataset(experiment: Experiment, reporter: Reporter) -> Dataset:
    """The split to train on, checked (see open_dataset)."""
    data = experiment.data
    allow_mismatch = experiment.proposals.allow_mismatch
    return open_dataset(
        data.dataset, data.split, data.folder, allow_mismatch=allow_mismatch, reporter=reporter
    )


def validation_dataset(
    data: DataSettings,
    training: Dataset,
    allow_mismatch: bool = False,
    reporter: Reporter = SILENT,
) -> Dataset:
    """The val split of the dataset that `training` is a split of.

    Raises MisuseError where there is none, it is not annotated, it has other classes, or an
    image of it is trained on: a model must not be chosen by images that it has learned.
    """
    way_out = "Omit --eval-every, or train on a split that excludes val (--split train)."
    try:
        found = open_dataset(
            data.dataset,
            VALIDATION_SPLIT,
            data.folder,
            allow_mismatch=allow_mismatch,
            reporter=reporter,
        )
    except MisuseError as error:
        raise MisuseError(f"There is no val split to evaluate on: {error}\n{way_out}") from error
    trained = {record.path.resolve() for record in training.images}
    shared = sum(record.path.resolve() in trained for record in found.images)
    if shared:
        raise MisuseError(
            f"{shared} images of val are among those of {training.split} that are trained on.\n"
            f"{way_out}"
        )
    if any(record.truth is None for record in found.images) or not found.images:
        raise MisuseError(f"The val split of {data.dataset} is not annotated.\n{way_out}")
    if found.classes != training.classes:
        raise MisuseError(f"The val split of {data.dataset} has other classes.\n{way_out}")
    return found


def with_precision(experiment: Experiment, options: RunOptions) -> Experiment:
    """The experiment with its precision; `auto` is replaced by the choice for this device.

    Raises MisuseError for bfloat16 where this device would emulate it.
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
    """The settings, in float32 where bfloat16 would be emulated; warns of that change."""
    fast = all(options.team.gather(has_fast_bfloat16(device)))
    if settings.precision != "bfloat16" or fast or options.emulate_bfloat16:
        return settings
    reporter.warn(
        f"This run began in bfloat16, but {missing_instructions(device)}: it continues in "
        "float32, and its weights will not be bit for bit those of an uninterrupted run.\n"
        "Use --emulate-bfloat16 to stay in bfloat16, up to 100 times slower."
    )
    return replace(settings, precision="float32")
