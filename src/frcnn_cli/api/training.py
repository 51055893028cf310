"""Start and resume training runs, with the settings of `frcnn train`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from frcnn_cli.api.arguments import parameters_of, public
from frcnn_cli.api.progress import OnProgress, reporter_for
from frcnn_cli.engine.distributed.team import team_from_environment
from frcnn_cli.engine.settings import PrecisionChoice

if TYPE_CHECKING:
    from frcnn_cli.engine.training.run import Trained


@public
def train(
    dataset: str | Path,
    *,
    preset: str | None = None,
    variants: Sequence[str] = (),
    config: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    data_root: str | Path | None = None,
    split: str | None = None,
    val_share: float | None = None,
    backbone: str | None = None,
    weights: str | Path | None = None,
    init: str | Path | None = None,
    proposals: str | Path | None = None,
    source: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    allow_mismatch: bool | None = None,
    sampling: Literal["hierarchical", "roi-centric"] | None = None,
    iterations: int | None = None,
    epochs: float | None = None,
    learning_rate: float | None = None,
    scale: int | None = None,
    seed: int | None = None,
    workers: int | None = None,
    precision: PrecisionChoice | None = None,
    compile: bool | None = None,
    checkpoint_every: int | None = None,
    eval_every: int | None = None,
    out: str | Path | None = None,
    runs_root: str | Path = "runs",
    device: str = "auto",
    tensorboard: bool = False,
    emulate_bfloat16: bool = False,
    progress: OnProgress | None = None,
) -> Trained:
    """Train a detector, as `frcnn train`; return its model file.

    Settings are read from the preset, then variants, then the TOML file `config`, then arguments;
    later ones override earlier ones, and None changes nothing. settings: any setting by its full
    name, such as {"sampling.foreground_iou": 0.6}; `frcnn config show` lists them. out: the run's
    folder; None creates a new one in `runs_root`. init: a model file, a run by its folder or name,
    or a shipped model. parameters: of the source, such as {"mode": "quality"}. The other arguments
    are the options of `frcnn train`, under the same names. An interrupted run is resumed by
    `resume`. Raises Error if the run cannot be started.
    """
    from frcnn_cli.engine.models.experiment_options import SettingOptions, experiment_from
    from frcnn_cli.engine.training.run import RunOptions
    from frcnn_cli.engine.training.start import start_run

    values = {
        "dataset": str(dataset),
        "preset": preset,
        "variants": tuple(variants),
        "config": None if config is None else Path(config),
        "settings": dict(settings or {}),
        "data_root": data_root,
        "split": split,
        "val_share": val_share,
        "backbone": backbone,
        "weights": weights,
        "init": init,
        "proposals": proposals,
        "source": source,
        "parameters": parameters_of(parameters) or None,
        "allow_mismatch": allow_mismatch,
        "sampling": sampling,
        "iterations": iterations,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "scale": scale,
        "seed": seed,
        "workers": workers,
        "precision": precision,
        "compile": compile,
        "checkpoint_every": checkpoint_every,
        "eval_every": eval_every,
    }
    options = RunOptions(
        folder=None if out is None else Path(out),
        runs_root=Path(runs_root),
        device=device,
        team=team_from_environment(),
        tensorboard=tensorboard,
        emulate_bfloat16=emulate_bfloat16,
        workers=workers,
    )
    values["runs_root"] = options.runs_root
    experiment = experiment_from(SettingOptions.parse(values))
    return start_run(experiment, options, reporter_for(progress))


@public
def resume(
    run: str | Path,
    *,
    dataset: str | Path | None = None,
    data_root: str | Path | None = None,
    proposals: str | Path | None = None,
    workers: int | None = None,
    runs_root: str | Path = "runs",
    device: str = "auto",
    tensorboard: bool = False,
    emulate_bfloat16: bool = False,
    progress: OnProgress | None = None,
) -> Trained:
    """Resume a run from its last checkpoint, as `frcnn train --resume`.

    run: its folder, or its name in `runs_root`. The run keeps the settings that it was started
    with. dataset, data_root, proposals: where its data is now, if it has moved. Raises Error if
    there is no run, or its dataset or proposals have changed.
    """
    from frcnn_cli.engine.training.run import RunOptions
    from frcnn_cli.engine.training.run_folder import NewPlaces
    from frcnn_cli.engine.training.start import resume_run

    options = RunOptions(
        runs_root=Path(runs_root),
        device=device,
        team=team_from_environment(),
        tensorboard=tensorboard,
        emulate_bfloat16=emulate_bfloat16,
        workers=workers,
    )
    places = NewPlaces(
        None if dataset is None else str(dataset),
        None if data_root is None else Path(data_root),
        None if proposals is None else Path(proposals),
    )
    return resume_run(Path(run), options, reporter_for(progress), places)
