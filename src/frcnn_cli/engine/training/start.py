"""Start and resume training runs; inputs are checked before torch is imported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.findings import act_on
from frcnn_cli.engine.distributed.connect import connected
from frcnn_cli.engine.distributed.team import Team
from frcnn_cli.engine.evaluation.chance import warn_of_low_recall
from frcnn_cli.engine.models.initial_detector import note_start, origin_from
from frcnn_cli.engine.models.provenance import (
    dataset_fingerprint,
    earlier_fingerprints,
    same_proposals,
    with_dataset,
)
from frcnn_cli.engine.models.store import CHECKPOINT_FILE, SETTING_FILE, find_run, run_names
from frcnn_cli.engine.models.supervision import check_supervision
from frcnn_cli.engine.proposals.for_dataset import warn_of_some
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.reporter import SILENT, Needs, Reporter
from frcnn_cli.engine.settings import Experiment
from frcnn_cli.engine.training.metrics import TrainingLine, tensorboard_scalars
from frcnn_cli.engine.training.run import (
    Run,
    RunOptions,
    StepReport,
    Trained,
    prepare_run,
    training_dataset,
    validation_dataset,
    with_length,
    with_precision,
    with_split,
)
from frcnn_cli.engine.training.run_folder import (
    NewPlaces,
    StoredRun,
    at_places,
    default_run_folder,
    lock_folder,
    lock_new_folder,
    read_run,
    write_setting,
)
from frcnn_cli.engine.training.weak.labels import without_proposals
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.suggestions import suggest
from frcnn_proposals.wording import counted

_DEFAULT_OPTIONS = RunOptions()
_NOT_MOVED = NewPlaces()


def start_run(
    experiment: Experiment, options: RunOptions = _DEFAULT_OPTIONS, reporter: Reporter = SILENT
) -> Trained:
    """Train from the first iteration, in a new folder.

    If torchrun has restarted the processes, and options.folder contains their run, the run is
    resumed. Raises MisuseError or InputError if the experiment cannot be trained; no folder is
    left behind then.
    """
    with connected(options.team, options.device):
        if options.folder is not None and _is_restarted(options.folder, options.team):
            return _resume(options.folder, options, reporter)
        if not experiment.data.dataset:
            raise MisuseError("Give a dataset to train on, or a run to resume with --resume.")
        _check_files(experiment)
        check_supervision(experiment)
        experiment = with_split(experiment, reporter)
        data = training_dataset(experiment, reporter)
        if experiment.train.eval_every:
            validation_dataset(experiment.data, data, experiment.proposals.allow_mismatch)
        if (held_out := experiment.data.held_out_split) is not None:
            source = experiment.data
            others = len(find_dataset(source.dataset, held_out, source.folder, lambda _: None))
            reporter.note(
                f"{counted(len(data), 'image')} to train on; "
                f"{counted(others, 'image is', 'images are')} held out as split {held_out}"
            )
        experiment = with_length(with_precision(experiment, options), len(data), reporter)
        with _new_folder(experiment, options) as folder, _resumable(folder, reporter):
            if options.team.is_first:
                write_setting(folder, experiment)
            return _train(experiment, data, folder, options, reporter)


def resume_run(
    folder: Path,
    options: RunOptions = _DEFAULT_OPTIONS,
    reporter: Reporter = SILENT,
    places: NewPlaces = _NOT_MOVED,
) -> Trained:
    """Resume from the run's last checkpoint, or from the beginning if it has none yet.

    folder: the run's folder, or its name in options.runs_root. places: stored in the run's
    setting, once the data there is found to be the same. Raises MisuseError or InputError if the
    folder contains no run, or if its setting, its dataset or its proposals were changed.
    """
    with connected(options.team, options.device):
        return _resume(find_run(folder, options.runs_root), options, reporter, places)


def _resume(
    folder: Path, options: RunOptions, reporter: Reporter, places: NewPlaces = _NOT_MOVED
) -> Trained:
    if not folder.is_dir():
        near = suggest(folder.name, run_names(options.runs_root))
        hint = f" Did you mean the run {near}?" if near else " `frcnn runs` lists the runs."
        raise InputError(f"{folder}: there is no run of this name or folder.{hint}")
    held = lock_folder(folder) if options.team.is_first else nullcontext()
    with held, _resumable(folder, reporter):
        stored = read_run(folder)
        if stored.model is not None:
            reporter.note(f"{folder}: this run has finished.")
            best = None if stored.progress is None else stored.progress.best
            return Trained(stored.model, (), best)
        experiment = at_places(folder, stored, places)
        if not experiment.data.dataset:
            raise InputError(
                f"{folder}: cannot resume this run, because its settings name no dataset."
            )
        file = experiment.proposals.file
        if file and not Path(file).exists():
            raise InputError(
                f"{file}: proposal file not found. If it has moved, give its new path: --proposals."
            )
        data = training_dataset(experiment, reporter)
        if stored.progress is None:
            if options.team.is_first and experiment != stored.experiment:
                write_setting(folder, experiment)
            reporter.note(f"{folder} has no checkpoint yet: starting from the first iteration")
            return _train(experiment, data, folder, options, reporter)
        run = prepare_run(experiment, data, folder, options, reporter, is_new=False)
        _check_proposals(stored, run)
        run = _with_first_fingerprint(stored, run)
        if options.team.is_first and experiment != stored.experiment:
            write_setting(folder, experiment)
        done, total = stored.progress.iteration, run.settings.iterations
        reporter.note(
            f"Resuming {folder} after iteration {done} of {total}, in {run.settings.precision}"
        )
        from frcnn_cli.engine.training.loop import resume

        return _train_with_progress(partial(resume, run), run, options, reporter, done)


def _train(
    experiment: Experiment, data: Dataset, folder: Path, options: RunOptions, reporter: Reporter
) -> Trained:
    from frcnn_cli.engine.models.initial import initial_model
    from frcnn_cli.engine.network.model import parameter_count
    from frcnn_cli.engine.training.loop import train

    # Before the proposals, which can take long, so that errors in the weights appear at once.
    model = initial_model(experiment, data.classes, reporter)
    note_start(experiment, data, reporter)
    # Weights may require other preprocessing than the backbone's default.
    experiment = replace(experiment, preprocessing=model.architecture.preprocessing)
    options.on_setting(experiment)
    run = prepare_run(experiment, data, folder, options, reporter, is_new=True)
    run = replace(run, origin=origin_from(experiment.init, run.origin))
    team, given = options.team, experiment.proposals.given
    if run.settings.is_weak and team.is_first:
        act_on(without_proposals(run.dataset, run.proposals), True, reporter)
    elif given and team.is_first:
        warn_of_low_recall(run.dataset, run.proposals, given, reporter)
    processes = "" if team.world == 1 else f" in {counted(team.world, 'process', 'processes')}"
    reporter.note(
        f"Training {experiment.backbone} on {counted(len(run.dataset), 'image')} of "
        f"{Path(experiment.data.dataset).name} {experiment.data.split}, "
        f"{counted(run.settings.iterations, 'iteration')} at scale "
        f"{experiment.preprocessing.scale}, on {run.device}{processes} in "
        f"{run.settings.precision}, into {folder}"
    )
    # The model, the best model, and two checkpoints (weights and momenta each) while the new
    # one replaces the old one.
    copies = (2 if experiment.train.eval_every else 1) + 2 * 2
    needs = Needs(4 * parameter_count(model) * copies, folder)
    return _train_with_progress(partial(train, model, run), run, options, reporter, needs=needs)


def _train_with_progress(
    work: Callable[[Callable[[StepReport], None], Callable[[str], None]], Trained],
    run: Run,
    options: RunOptions,
    reporter: Reporter,
    done: int = 0,
    needs: Needs | None = None,
) -> Trained:
    """Run `work` from iteration `done` with progress reports, then plot the losses."""
    is_first, line = run.team.is_first, TrainingLine()
    with (
        tensorboard_scalars(run.folder, done, options.tensorboard and is_first) as write_scalars,
        reporter.progress("Training", run.settings.iterations, done, needs) as advance,
    ):
        warned = False

        def on_step(step: StepReport) -> None:
            nonlocal warned
            if step.problem is not None and not warned:
                warned = True
                reporter.warn(f"Image {step.problem}. At the end, all such images are counted.")
            write_scalars(step)
            advance(1, line(step))

        trained = work(on_step, lambda text: advance(0, text))
    if is_first:
        from frcnn_cli.engine.training.figures import write_loss_figure

        if (figure := write_loss_figure(run.folder)) is not None:
            reporter.note(f"Loss: {figure}")
    warn_of_some(reporter, trained.unreadable)
    if is_first:
        act_on(trained.findings, True, reporter)
    return trained


def _check_files(experiment: Experiment) -> None:
    """Raise InputError for a missing file, before its reader is imported."""
    file, weights = experiment.proposals.file, experiment.weights
    if file and not Path(file).exists():
        raise InputError(f"{file}: proposal file not found.")
    if weights not in ("imagenet", "none") and not Path(weights).exists():
        raise InputError(f"{weights}: weights file not found.")


def _is_restarted(folder: Path, team: Team) -> bool:
    """Whether torchrun has restarted these processes, and the folder contains their run."""
    # After a process dies on one machine, torchrun on the others may not count the restart.
    restarted = any(team.gather(team.restarts > 0))
    return restarted and team.gather((folder / SETTING_FILE).is_file())[0]


def _new_folder(experiment: Experiment, options: RunOptions) -> AbstractContextManager[Path]:
    """Lock a new folder for the run in the team's first process; yields its path in every one."""
    if options.folder is not None:
        first = options.team.is_first
        return lock_new_folder(options.folder) if first else nullcontext(options.folder)
    if options.team.world > 1:
        raise MisuseError(
            "With torchrun, give the run's folder with --out: after a process dies, torchrun "
            "restarts the processes, and they must find the folder."
        )
    name = f"{Path(experiment.data.dataset).name}-{experiment.backbone}"
    return lock_new_folder(default_run_folder(options.runs_root, name), numbered=True)


@contextmanager
def _resumable(folder: Path, reporter: Reporter) -> Iterator[None]:
    """On interruption, print how to resume the run."""
    try:
        yield
    except KeyboardInterrupt:
        if (folder / SETTING_FILE).is_file() or (folder / CHECKPOINT_FILE).is_file():
            reporter.note(f"Resume with `frcnn train --resume {folder}`.")
        raise


def _with_first_fingerprint(stored: StoredRun, run: Run) -> Run:
    """The run with the fingerprint of its dataset from its start, if it has one.

    Raises MisuseError if the dataset has changed since.
    """
    assert stored.progress is not None
    first, now = map(dataset_fingerprint, (stored.progress.origin, run.origin))
    if first is None or now is None:  # an older version started the run
        return run
    digests = {
        record.image_id: digest
        for record in run.dataset.images
        if (digest := now.file_of(record.image_id)) is not None
    }
    differences = first.differences(run.dataset, digests)
    if differences:
        raise MisuseError(
            f"{run.folder}: {run.dataset.name} {run.dataset.split} has changed since this run was "
            f"started: {'; '.join(differences)}.\nRestore it, or start another run."
        )
    earlier = earlier_fingerprints(stored.progress.origin)
    return replace(run, origin=with_dataset(run.origin, first.with_files(digests), earlier))


def _check_proposals(stored: StoredRun, run: Run) -> None:
    """Raise MisuseError if the proposals have changed since the run started."""
    assert stored.progress is not None
    original = stored.progress.origin.get("proposals_fingerprint")
    if original and not same_proposals(str(original), run.origin["proposals_fingerprint"]):
        raise MisuseError(
            f"{run.folder}: the proposals have changed since this run started "
            f"({stored.experiment.proposals.file or stored.experiment.proposals.source}).\n"
            "Restore them, or start another run."
        )
