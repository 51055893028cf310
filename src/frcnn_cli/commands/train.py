"""`frcnn train`: train a detector on a data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from rich.markup import escape

from frcnn_cli.commands import options
from frcnn_cli.commands.console import Advance, Output, pass_output
from frcnn_cli.commands.sources import proposals_for, warn_of_some
from frcnn_cli.engine.backbones import find_backbone
from frcnn_cli.engine.datasets import default_splits, find_dataset
from frcnn_cli.engine.datasets.locate import data_roots
from frcnn_cli.engine.devices import find_device
from frcnn_cli.engine.models import initial_model
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.runs import alone_in, claim_run_folder, new_run_folder
from frcnn_cli.engine.settings import Schedule, TrainSettings
from frcnn_cli.engine.train import Run, StepReport, Trained
from frcnn_cli.engine.train import resume as resume_training
from frcnn_cli.engine.train import train as train_model
from frcnn_cli.engine.training_state import load_progress
from frcnn_proposals.errors import MisuseError


@click.command()
@click.argument("dataset", required=False)
@options.data_root
@click.option("--split", help="Split to train on. Default: trainval, or train where val is judged.")
@click.option("--backbone", default="efficientnet_lite0", show_default=True)
@click.option(
    "--weights",
    default="imagenet",
    show_default=True,
    help="imagenet, none, a file of the backbone's ImageNet weights, or a model to go on from.",
)
@options.proposals
@options.source
@options.allow_mismatch
@click.option("--iterations", type=click.IntRange(min=1), help="Default: the backbone's.")
@click.option("--learning-rate", type=float, help="Default: the backbone's.")
@click.option("--scale", type=click.IntRange(min=32), help="Shorter side of the input in pixels.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Processes that prepare batches.",
)
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    help="Iterations between.",
)
@click.option("--out", type=options.FolderPath, help="Folder of the run. Default: a new one.")
@options.runs_root
@click.option("--resume", "resumed", type=options.FolderPath, help="Folder of a run to go on with.")
@options.device
@pass_output
def train(
    output: Output, /, dataset: str | None, resumed: Path | None, device: str, **chosen: Any
) -> None:
    """Train a detector on DATASET: voc2007, voc2007+voc2012, or a folder.

    Proposals are computed and cached where no --proposals are given. A run that was
    interrupted goes on with --resume.

    \b
    frcnn train voc2007 --data-root ~/data
    frcnn train voc2007 --backbone vgg16 --iterations 40000
    frcnn train --resume runs/voc2007-efficientnet_lite0
    """
    if (dataset is None) == (resumed is None):
        raise MisuseError("Name a data set to train on, or a run to go on with by --resume.")
    if resumed is not None:
        trained = _resume(output, resumed, device)
    else:
        trained = _start(output, str(dataset), device, chosen)
    warn_of_some(output, trained.unreadable)
    output.print(f"Model: [bold]{escape(str(trained.path))}[/]")
    output.note("Next: `frcnn eval` scores it, `frcnn detect IMAGE --viz` shows it.")


def _start(output: Output, dataset: str, device: str, chosen: dict[str, Any]) -> Trained:
    backbone = find_backbone(chosen["backbone"])
    target = find_device(device)
    split = chosen["split"] or _training_split(output, dataset, chosen["data_root"])
    origin = {
        "dataset": str(Path(dataset).resolve()) if Path(dataset).exists() else dataset,
        "split": split,
        "data_root": str(data_roots(chosen["data_root"])[0].resolve()),
        "proposals": _absolute(chosen["proposals"]),
        "source": chosen["source"],
        "allow_mismatch": chosen["allow_mismatch"],
    }
    schedule = _schedule(backbone.schedule, chosen["iterations"], chosen["learning_rate"])
    settings = TrainSettings(
        schedule=schedule,
        seed=chosen["seed"],
        workers=chosen["workers"],
        checkpoint_every=chosen["checkpoint_every"],
    )
    preprocessing = backbone.preprocessing.at_scale(chosen["scale"])
    out = chosen["out"]
    if out is not None:
        claim_run_folder(out)
    data = find_dataset(dataset, split, chosen["data_root"])
    # Before the proposals, which can take long: what is wrong here should be said at once.
    model = initial_model(backbone, data.classes, chosen["weights"], preprocessing, settings.seed)
    run = _prepare(output, data, origin, settings, target)
    name = f"{Path(dataset).name}-{backbone.name}"
    run = replace(run, folder=out or new_run_folder(chosen["runs_root"], name))
    output.note(
        f"Training {backbone.name} on {len(run.dataset)} images of {dataset} {split}, "
        f"{schedule.iterations} iterations at scale {preprocessing.scale}, on {target}, "
        f"into {run.folder}"
    )
    with alone_in(run.folder), output.progress("Training", schedule.iterations) as advance:
        return train_model(model, run, lambda step: _report(advance, step))


def _resume(output: Output, folder: Path, device: str) -> Trained:
    progress = load_progress(folder)
    origin = progress.origin
    root = origin["data_root"] and Path(origin["data_root"])
    data = find_dataset(origin["dataset"], origin["split"], root)
    run = _prepare(output, data, origin, progress.settings, find_device(device))
    run = replace(run, folder=folder)
    total = progress.settings.schedule.iterations
    output.note(f"Going on with {folder} after iteration {progress.iteration} of {total}")
    with (
        alone_in(folder),
        output.progress("Training", total, done=progress.iteration) as advance,
    ):
        return resume_training(run, lambda step: _report(advance, step))


def _prepare(
    output: Output,
    data: Dataset,
    origin: dict[str, Any],
    settings: TrainSettings,
    device: torch.device,
) -> Run:
    """The run that `origin` describes, its proposals found or made."""
    root, file = (origin[key] and Path(origin[key]) for key in ("data_root", "proposals"))
    found = proposals_for(
        output,
        data,
        file,
        origin["source"],
        data_root=root,
        allow_mismatch=origin["allow_mismatch"],
    )
    return Run(Path(), found.dataset, found.proposals, settings, device, origin)


def _training_split(output: Output, dataset: str, data_root: Path | None) -> str:
    splits = default_splits(dataset, data_root)
    if not splits.apart:
        output.warn(f"{dataset} has one split alone: nothing is left to evaluate on.")
    return splits.training


def _schedule(default: Schedule, iterations: int | None, learning_rate: float | None) -> Schedule:
    return replace(
        default,
        iterations=iterations or default.iterations,
        learning_rate=default.learning_rate if learning_rate is None else learning_rate,
    )


def _report(advance: Advance, step: StepReport) -> None:
    advance(
        1,
        f"loss {step.loss:.3f} (class {step.classification:.3f}, boxes {step.box_regression:.3f})",
    )


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())
