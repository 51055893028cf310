"""`frcnn train`: train a detector on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_cli.commands.train.options import setting_options
from frcnn_cli.commands.train.run import Place, begin, go_on, was_begun
from frcnn_cli.commands.train.settings import Wishes, experiment_from, given_options
from frcnn_cli.commands.train.tables import presets_table, variants_table
from frcnn_cli.engine.distributed.connect import joined
from frcnn_cli.engine.distributed.devices import find_device
from frcnn_cli.engine.distributed.team import team_from_environment
from frcnn_cli.engine.models.store import BEST_FILE
from frcnn_cli.engine.proposals.for_dataset import warn_of_some
from frcnn_proposals.errors import MisuseError

# What --resume may be given beside: of the machine, not of the experiment.
OF_THE_MACHINE = {"resumed", "device", "workers", "tensorboard", "emulate_bfloat16"}


@click.command()
@click.argument("dataset", required=False)
@setting_options
@click.option("--list-presets", is_flag=True, help="Show presets and variants, complete.")
@click.option("--out", type=options.FolderPath, help="Folder of the run. Default: a new one.")
@options.runs_root
@click.option("--resume", "resumed", type=options.FolderPath, help="Folder of a run to go on with.")
@options.device
@click.option(
    "--tensorboard", is_flag=True, help="Write TensorBoard scalars into the run's folder."
)
@click.option(
    "--emulate-bfloat16",
    is_flag=True,
    help="Compute in bfloat16 even without instructions for it, up to 100 times slower.",
)
@click.pass_context
@pass_output
def train(
    output: Output,
    ctx: click.Context,
    /,
    preset: str | None,
    variants: tuple[str, ...],
    list_presets: bool,
    config: Path | None,
    assignments: tuple[str, ...],
    scale: int | None,
    out: Path | None,
    runs_root: Path,
    resumed: Path | None,
    device: str,
    tensorboard: bool,
    emulate_bfloat16: bool,
    **named: Any,
) -> None:
    """Train a detector on DATASET: voc2007, voc2007+voc2012, or a folder.

    Settings: preset, then variants, then --config, then options; the later one counts.
    Proposals are computed and cached where no --proposals are given. A run that was
    interrupted goes on with --resume.

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
    team = team_from_environment()
    with joined(team, find_device(device)) as own_device:
        place = Place(out, runs_root, own_device, team, tensorboard, emulate_bfloat16)
        if resumed is not None:
            _refuse_beside_resume(ctx)
            trained = go_on(output, resumed, place, named["workers"])
        elif out is not None and was_begun(place):
            trained = go_on(output, out, place, named["workers"])
        else:
            wishes = Wishes(preset, variants, config, scale, assignments, given_options(named))
            experiment = experiment_from(wishes)
            if not experiment.data.dataset:
                raise MisuseError(
                    "Name a data set to train on, or a run to go on with by --resume."
                )
            trained = begin(output, experiment, place)
    warn_of_some(output, trained.unreadable)
    output.print(f"Model: [bold]{escape(str(trained.path))}[/]")
    if trained.best is not None:
        best = trained.path.with_name(BEST_FILE)
        output.print(f"Best on val: [bold]{escape(str(best))}[/], mAP {100 * trained.best:.1f}")
    output.note("Next: `frcnn eval` scores it, `frcnn detect IMAGE --viz` shows it.")


def _refuse_beside_resume(ctx: click.Context) -> None:
    """A run goes on as it began: raises MisuseError where another setting is given."""
    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(str(parameter.name))
        if source is ParameterSource.COMMANDLINE and parameter.name not in OF_THE_MACHINE:
            name = parameter.opts[0] if parameter.param_type_name == "option" else "DATASET"
            raise MisuseError(
                f"{name} cannot be changed by --resume: a run goes on with what it began with.\n"
                "Leave it out, or begin another run."
            )
