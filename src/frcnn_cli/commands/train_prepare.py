"""From an experiment to a run: its data set, its proposals, and what judges it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from frcnn_cli.commands.console import Output
from frcnn_cli.commands.sources import proposals_for
from frcnn_cli.engine.backbones import find_backbone
from frcnn_cli.engine.datasets import default_splits, find_dataset
from frcnn_cli.engine.distributed import ALONE, Team
from frcnn_cli.engine.precision import (
    choose_precision,
    has_fast_bfloat16,
    missing_instructions,
)
from frcnn_cli.engine.proposing.of_dataset import DatasetProposals
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.saved.origins import origin_of, proposals_fingerprint
from frcnn_cli.engine.saved.runs import StoredRun
from frcnn_cli.engine.settings import Experiment, Precision, TrainSettings
from frcnn_cli.engine.training.run import Run
from frcnn_cli.engine.training.validation import Validation, validation_dataset
from frcnn_proposals.errors import MisuseError


@dataclass(frozen=True)
class Place:
    """Where a run is kept and computed, and by whom. folder: None makes one under runs_root.

    emulate_bfloat16: whether to compute in bfloat16 where the device has no instructions for it.
    """

    folder: Path | None
    runs_root: Path
    device: torch.device
    team: Team = ALONE
    tensorboard: bool = False
    emulate_bfloat16: bool = False


def prepare_run(
    output: Output, experiment: Experiment, data: Dataset, folder: Path, place: Place
) -> Run:
    """The run of an experiment, its proposals found or made."""
    settings, validation = _native(output, folder, experiment.train, place), None
    with place.team.first_alone():
        found = _proposals(output, experiment, data)
        if (judged := validation_split(experiment, data)) is not None:
            of_val = _proposals(output, experiment, judged)
            detect = replace(experiment.detect, score_threshold=None, precision=settings.precision)
            validation = Validation(of_val.dataset, of_val.proposals, detect)
    fingerprint = proposals_fingerprint(found.path, found.proposals)
    origin = origin_of(experiment, fingerprint)
    return Run(
        folder, found.dataset, found.proposals, settings, place.device, origin, validation,
        place.team,
    )  # fmt: skip


def _proposals(output: Output, experiment: Experiment, data: Dataset) -> DatasetProposals:
    chosen, root = experiment.proposals, experiment.data.root
    return proposals_for(
        output,
        data,
        Path(chosen.file) if chosen.file else None,
        chosen.source,
        data_root=Path(root) if root else None,
        allow_mismatch=chosen.allow_mismatch,
    )


def validation_split(experiment: Experiment, data: Dataset) -> Dataset | None:
    """What eval_every judges on; None without it. Raises MisuseError where it is trained on."""
    return validation_dataset(experiment.data, data) if experiment.train.eval_every else None


def find_data(experiment: Experiment) -> Dataset:
    """The data set that an experiment trains on."""
    data = experiment.data
    return find_dataset(data.dataset, data.split, Path(data.root) if data.root else None)


def with_split(output: Output, experiment: Experiment) -> Experiment:
    """The experiment with a split to train on, chosen where it names none."""
    data = experiment.data
    if data.split:
        return experiment
    splits = default_splits(data.dataset, Path(data.root) if data.root else None)
    if not splits.apart:
        output.warn(f"{data.dataset} has one split alone: nothing is left to evaluate on.")
    return replace(experiment, data=replace(data, split=splits.training))


def with_precision(experiment: Experiment, place: Place) -> Experiment:
    """The experiment with the precision that it is trained in, chosen where it says `auto`.

    Raises MisuseError where it names bfloat16, which this device would emulate.
    """
    choice = experiment.train.precision
    if choice == "bfloat16" and place.emulate_bfloat16:
        return experiment
    measured = find_backbone(experiment.backbone).bfloat16
    chosen = place.team.gather(choose_precision(choice, place.device, measured))
    precision: Precision = "float32" if "float32" in chosen else "bfloat16"
    return replace(experiment, train=replace(experiment.train, precision=precision))


def _native(output: Output, folder: Path, settings: TrainSettings, place: Place) -> TrainSettings:
    """The settings as this device computes them; warns where a run began in another precision."""
    fast = all(place.team.gather(has_fast_bfloat16(place.device)))
    if settings.precision != "bfloat16" or fast or place.emulate_bfloat16:
        return settings
    output.warn(
        f"{folder} began in bfloat16, but {missing_instructions(place.device)}: it continues in "
        "float32, and its weights will not be those of an uninterrupted run to the bit.\n"
        "--emulate-bfloat16 stays in bfloat16, up to 100 times slower."
    )
    return replace(settings, precision="float32")


def refuse_other_proposals(stored: StoredRun, run: Run) -> None:
    """Raises MisuseError where the proposals are not those that the run began with."""
    assert stored.progress is not None
    began = stored.progress.origin.get("proposals_fingerprint")
    if began and began != run.origin["proposals_fingerprint"]:
        raise MisuseError(
            f"{run.folder}: the proposals have changed since this run began "
            f"({stored.experiment.proposals.file or stored.experiment.proposals.source}).\n"
            "Put them back, or begin another run."
        )
