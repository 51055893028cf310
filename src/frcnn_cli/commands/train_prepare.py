"""From an experiment to a run: its data set, its proposals, and what judges it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from frcnn_cli.commands.console import Output
from frcnn_cli.commands.sources import proposals_for
from frcnn_cli.engine.datasets import default_splits, find_dataset
from frcnn_cli.engine.distributed import ALONE, Team
from frcnn_cli.engine.proposing.of_dataset import DatasetProposals
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.saved.origins import origin_of, proposals_fingerprint
from frcnn_cli.engine.saved.runs import StoredRun
from frcnn_cli.engine.settings import Experiment
from frcnn_cli.engine.training.run import Run
from frcnn_cli.engine.training.validation import Validation, validation_dataset
from frcnn_proposals.errors import MisuseError


@dataclass(frozen=True)
class Place:
    """Where a run is kept and computed, and by whom. folder: None makes one under runs_root."""

    folder: Path | None
    runs_root: Path
    device: torch.device
    team: Team = ALONE
    tensorboard: bool = False


def prepare_run(
    output: Output, experiment: Experiment, data: Dataset, folder: Path, place: Place
) -> Run:
    """The run of an experiment, its proposals found or made."""
    validation = None
    with place.team.first_alone():
        found = _proposals(output, experiment, data)
        if (judged := validation_split(experiment, data)) is not None:
            settings = replace(experiment.detect, score_threshold=None)
            of_val = _proposals(output, experiment, judged)
            validation = Validation(of_val.dataset, of_val.proposals, settings)
    fingerprint = proposals_fingerprint(found.path, found.proposals)
    origin = origin_of(experiment, fingerprint)
    return Run(
        folder, found.dataset, found.proposals, experiment.train, place.device, origin,
        validation, place.team,
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
