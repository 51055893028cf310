"""`frcnn train`: train a detector on a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_cli.commands.train.options import setting_options
from frcnn_cli.commands.train.tables import presets_table, setting_table, variants_table
from frcnn_cli.engine.distributed.team import team_from_environment
from frcnn_cli.engine.models.experiment_options import SettingOptions, experiment_from
from frcnn_cli.engine.models.presets import closest_preset
from frcnn_cli.engine.models.store import BEST_FILE, warn_of_other_meanings
from frcnn_cli.engine.settings import Experiment
from frcnn_proposals.errors import MisuseError

RUN_OPTIONS = ("folder", "runs_root", "device", "tensorboard", "emulate_bfloat16")
# Options that --resume allows: they belong to the machine, not to the experiment.
MACHINE_OPTIONS = {
    *("resume_folder", "runs_root", "device", "workers", "tensorboard", "emulate_bfloat16"),
    *("dataset", "data_root", "proposals"),  # the places of the data; its content is compared
}


@click.command()
@click.argument("dataset", required=False)
@setting_options
@click.option(
    "--list-presets", is_flag=True, help="List all presets and variants with their settings."
)
@click.option(
    "--out",
    "folder",
    type=options.OutputFolder,
    show_default="a new folder in --runs",
    help="Folder of the run.",
)
@options.runs_root
@click.option(
    "--resume",
    "resume_folder",
    metavar="RUN",
    type=options.FolderPath,
    help="Resume this run: its name or its folder.",
)
@options.device
@click.option("--tensorboard", is_flag=True, help="Write TensorBoard scalars to the run's folder.")
@click.option(
    "--emulate-bfloat16",
    is_flag=True,
    help="Allow bfloat16 on a device without instructions for it. Up to 100 times slower.",
)
@click.pass_context
@pass_output
def train(
    output: Output,
    ctx: click.Context,
    /,
    list_presets: bool,
    resume_folder: Path | None,
    **given: Any,
) -> None:
    """Train a detector on DATASET: voc2007, voc2007+voc2012, or a folder.

    Settings are read from the preset, then variants, then --config, then options; later ones
    override earlier ones. Proposals are computed and cached unless --proposals names a file.
    --resume resumes an interrupted run; if its data has moved, also give DATASET, --data-root or
    --proposals.

    \b
    frcnn train voc2007 --data-root ~/data
    frcnn train voc2007 --preset paper-l --variant multiscale
    frcnn train voc2007 --set sampling.foreground_iou=0.6 --iterations 2000
    frcnn train --resume runs/voc2007-efficientnet_lite2
    """
    if list_presets:
        output.print(presets_table())
        output.print(variants_table())
        return
    from frcnn_cli.engine.training.run import RunOptions
    from frcnn_cli.engine.training.run_folder import NewPlaces, has_unseen_images
    from frcnn_cli.engine.training.start import resume_run, start_run

    def show_setting(experiment: Experiment) -> None:
        if output.verbosity >= 0:
            preset = closest_preset(experiment) if resume_folder else given["preset"]
            output.messages.print(setting_table(experiment, preset))

    workers, team = given["workers"], team_from_environment()
    run_values = {name: given.pop(name) for name in RUN_OPTIONS}
    run_options = RunOptions(team=team, workers=workers, on_setting=show_setting, **run_values)
    if resume_folder is not None:
        _check_resume_options(ctx)
        places = NewPlaces(given["dataset"], given["data_root"], given["proposals"])
        trained = resume_run(resume_folder, run_options, output, places)
    else:
        warn_of_other_meanings(output, given["init"], run_options.runs_root)
        values = {**given, "runs_root": run_options.runs_root}
        experiment = experiment_from(SettingOptions.parse(values))
        trained = start_run(experiment, run_options, output)
    output.print(f"Model: [bold]{escape(str(trained.path))}[/]")
    if trained.best is not None:
        best = trained.path.with_name(BEST_FILE)
        output.print(f"Best on val: [bold]{escape(str(best))}[/], mAP {100 * trained.best:.1f}")
    scores = "`frcnn eval` scores it, " if has_unseen_images(trained.path.parent) else ""
    output.note(f"Next: {scores}`frcnn detect IMAGE --viz` shows it.")


def _check_resume_options(ctx: click.Context) -> None:
    """Raise MisuseError for a setting given with --resume: a run keeps its own settings."""
    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(str(parameter.name))
        if source is ParameterSource.COMMANDLINE and parameter.name not in MACHINE_OPTIONS:
            name = parameter.opts[0] if parameter.param_type_name == "option" else "DATASET"
            raise MisuseError(
                f"{name} cannot be used with --resume: a run keeps its original settings.\n"
                "Omit it, or start another run."
            )
