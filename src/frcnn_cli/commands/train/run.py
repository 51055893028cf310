"""Beginning a run, and going on with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from frcnn_cli.commands.shared.console import Output
from frcnn_cli.commands.train.tables import TrainingLine, setting_table
from frcnn_cli.engine.datasets.find import default_splits, find_dataset
from frcnn_cli.engine.distributed.devices import (
    choose_precision,
    has_fast_bfloat16,
    missing_instructions,
)
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.models.initial import initial_model
from frcnn_cli.engine.models.provenance import origin_of, proposals_fingerprint
from frcnn_cli.engine.models.store import CHECKPOINT_FILE, SETTING_FILE
from frcnn_cli.engine.network.backbones.find import find_defaults
from frcnn_cli.engine.network.model import FastRCNN, parameter_count
from frcnn_cli.engine.proposals.for_dataset import DatasetProposals, proposals_for
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.reporter import Needs
from frcnn_cli.engine.settings import Experiment, Precision, TrainSettings
from frcnn_cli.engine.training.loop import resume, train
from frcnn_cli.engine.training.loss_figure import write_loss_figure
from frcnn_cli.engine.training.run import Run, StepReport, Trained
from frcnn_cli.engine.training.run_folder import (
    StoredRun,
    alone_in,
    claim_run_folder,
    new_run_folder,
    read_run,
    write_setting,
)
from frcnn_cli.engine.training.tensorboard import tensorboard_scalars
from frcnn_cli.engine.training.validation import Validation, validation_dataset
from frcnn_proposals.errors import InputError, MisuseError


def begin(output: Output, experiment: Experiment, place: Place) -> Trained:
    """Train from the first iteration, in a folder of the run's own."""
    experiment = with_precision(with_split(output, experiment), place)
    data = find_data(experiment)
    around = place.runs_root if place.folder is None else place.folder.parent
    missing = [each for each in (around, *around.parents) if not each.exists()]
    folder = _folder_of(experiment, place)
    try:
        with _alone(place, folder), _told_how_to_go_on(output, folder):
            if place.team.is_first:
                write_setting(folder, experiment)
            return _train(output, experiment, data, folder, place)
    except InputError:
        if place.team.is_first:
            _remove_if_nothing_was_done(folder, missing)
        raise


def was_begun(place: Place) -> bool:
    """Whether torchrun has started these processes again, and the folder holds their run."""
    begun = place.folder is not None and (place.folder / SETTING_FILE).is_file()
    # Where one machine's process died, the others' torchrun may not count the restart.
    restarted = any(place.team.gather(place.team.restarts > 0))
    return restarted and place.team.gather(begun)[0]


def go_on(output: Output, folder: Path, place: Place, workers: int | None) -> Trained:
    """Go on from the run's last checkpoint; from the beginning where it has none yet."""
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder.")
    with _alone(place, folder), _told_how_to_go_on(output, folder):
        stored = read_run(folder)
        if stored.model is not None:
            output.note(f"{folder}: this run has finished.")
            best = None if stored.progress is None else stored.progress.best
            return Trained(stored.model, (), best)
        experiment = stored.experiment
        if not experiment.data.dataset:
            raise InputError(f"{folder}: this run does not say its data set, so it cannot go on.")
        data = find_data(experiment)
        if stored.progress is None:
            output.note(f"{folder} has no checkpoint yet: it begins again")
            return _train(output, experiment, data, folder, place)
        run = prepare_run(output, experiment, data, folder, place)
        refuse_other_proposals(stored, run)
        if workers is not None:
            run = replace(run, settings=replace(run.settings, workers=workers))
        done, total = stored.progress.iteration, run.settings.iterations
        output.note(f"Going on with {folder} after iteration {done} of {total}")
        return _watched(output, run, place, done, lambda *reports: resume(run, *reports))


def _folder_of(experiment: Experiment, place: Place) -> Path:
    """A folder for the run, the same in every process."""
    if place.folder is None and place.team.world > 1:
        raise MisuseError(
            "Name the run's folder with --out: torchrun begins again after a process has died, "
            "and has to find it."
        )
    if place.folder is None:
        name = f"{Path(experiment.data.dataset).name}-{experiment.backbone}"
        return new_run_folder(place.runs_root, name)
    return claim_run_folder(place.folder) if place.team.is_first else place.folder


def _alone(place: Place, folder: Path) -> AbstractContextManager[None]:
    """Of all processes of the team the first holds the folder."""
    return alone_in(folder) if place.team.is_first else nullcontext()


def _train(
    output: Output, experiment: Experiment, data: Dataset, folder: Path, place: Place
) -> Trained:
    # Before the proposals, which can take long: what is wrong here should be said at once.
    model = initial_model(experiment, data.classes)
    # Weights can bring other pixels than the backbone's usual ones.
    experiment = replace(experiment, preprocessing=model.architecture.preprocessing)
    validation_split(experiment, data)
    if output.verbosity >= 0:
        output.messages.print(setting_table(experiment))
    run = prepare_run(output, experiment, data, folder, place)
    output.note(
        f"Training {experiment.backbone} on {len(run.dataset)} images of "
        f"{Path(experiment.data.dataset).name} {experiment.data.split}, {run.settings.iterations} "
        f"iterations at scale {experiment.preprocessing.scale}, on "
        f"{place.device}{_together(place.team)} in {experiment.train.precision}, into {folder}"
    )
    needs = Needs(_bytes_of_run(model, experiment), folder)
    return _watched(output, run, place, 0, lambda *reports: train(model, run, *reports), needs)


def _bytes_of_run(model: FastRCNN, experiment: Experiment) -> int:
    """The model, the best one, and two checkpoints while one replaces the other."""
    models = 2 if experiment.train.eval_every else 1
    checkpoints = 2 * 2  # weights and momenta each
    return 4 * parameter_count(model) * (models + checkpoints)


def _together(team: Team) -> str:
    return "" if team.world == 1 else f" in {team.world} processes"


def _watched(
    output: Output,
    run: Run,
    place: Place,
    done: int,
    work: Callable[[Callable[[StepReport], None], Callable[[str], None]], Trained],
    needs: Needs | None = None,
) -> Trained:
    """Do the work with its progress shown."""
    line = TrainingLine()
    first = run.team.is_first
    with (
        _scalars(run, done, place.tensorboard and first) as log,
        output.progress("Training", run.settings.iterations, done, needs) as advance,
    ):

        def report(step: StepReport) -> None:
            log(step)
            advance(1, line(step))

        trained = work(report, lambda doing: advance(0, doing))
    if first and (figure := write_loss_figure(run.folder)) is not None:
        output.note(f"Loss: {figure}")
    return trained


def _scalars(
    run: Run, done: int, wanted: bool
) -> AbstractContextManager[Callable[[StepReport], None]]:
    return tensorboard_scalars(run.folder, done) if wanted else nullcontext(lambda step: None)


@contextmanager
def _told_how_to_go_on(output: Output, folder: Path) -> Iterator[None]:
    """Whoever interrupts the block is told how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        if (folder / SETTING_FILE).is_file() or (folder / CHECKPOINT_FILE).is_file():
            output.note(f"Go on with `frcnn train --resume {folder}`.")
        raise


def _remove_if_nothing_was_done(folder: Path, missing: Sequence[Path]) -> None:
    """A request that was refused leaves no folder behind, nor those `missing` before it."""
    kept = {path.name for path in folder.iterdir()} - {SETTING_FILE, ".lock"}
    if not kept:
        for name in (SETTING_FILE, ".lock"):
            (folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            for each in (folder, *missing):
                each.rmdir()


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
    measured = find_defaults(experiment.backbone).bfloat16
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
