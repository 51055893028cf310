"""Beginning a run, and going on with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from frcnn_cli.commands.console import Output
from frcnn_cli.commands.outlook import Needs
from frcnn_cli.commands.train_prepare import (
    Place,
    find_data,
    prepare_run,
    refuse_other_proposals,
    validation_split,
    with_precision,
    with_split,
)
from frcnn_cli.commands.train_tables import setting_table
from frcnn_cli.commands.train_watch import TrainingLine
from frcnn_cli.engine.distributed import Team
from frcnn_cli.engine.model import FastRCNN, parameter_count
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.saved.initial_model import initial_model
from frcnn_cli.engine.saved.models import CHECKPOINT_FILE, SETTING_FILE
from frcnn_cli.engine.saved.runs import (
    alone_in,
    claim_run_folder,
    new_run_folder,
    read_run,
    write_setting,
)
from frcnn_cli.engine.settings import Experiment
from frcnn_cli.engine.train import resume, train
from frcnn_cli.engine.training.loss_figure import write_loss_figure
from frcnn_cli.engine.training.run import Run, StepReport, Trained
from frcnn_cli.engine.training.tensorboard import tensorboard_scalars
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
