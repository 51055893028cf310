"""What `[MODEL] [DATASET]` on a command line means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from frcnn_cli.commands.shared.console import Output
from frcnn_cli.engine.datasets.find import available_splits, default_splits, find_dataset
from frcnn_cli.engine.datasets.layout import Report, refuse
from frcnn_cli.engine.distributed.devices import choose_precision
from frcnn_cli.engine.models.provenance import stored_experiment
from frcnn_cli.engine.models.seen_images import trained_on
from frcnn_cli.engine.models.store import find_model, is_model, load_model
from frcnn_cli.engine.network.backbones.find import find_defaults
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import Experiment, Precision, PrecisionChoice
from frcnn_proposals.errors import InputError, MisuseError, reason


@dataclass(frozen=True)
class LoadedModel:
    """A model on its device, the file it came from, and what that says of its origin.

    experiment: what it was made by, as far as the file says. precision: what it detects in.
    """

    model: FastRCNN
    path: Path
    origin: dict[str, Any]
    experiment: Experiment
    precision: Precision = "float32"


@dataclass(frozen=True)
class JudgedOn:
    """The split that a model is judged on, and the folder in which it was looked for."""

    dataset: Dataset
    data_root: Path | None


def split_targets(first: str | None, second: str | None) -> tuple[Path | None, str | None]:
    """Model and data set out of up to two arguments: one alone may be either."""
    if first is not None and second is None and not is_model(Path(first)):
        return None, first
    return None if first is None else Path(first), second


def open_model(
    output: Output,
    given: Path | None,
    runs_root: Path,
    device: torch.device,
    precision: PrecisionChoice = "auto",
) -> LoadedModel:
    """The given model, or the newest run's, and the precision it detects in; prints both.

    `auto` stays in float32 where the model's own setting is float32, as for the paper's presets.
    Raises MisuseError where bfloat16 is requested by name and `device` would emulate it.
    """
    path = find_model(given, runs_root)
    model, origin = load_model(path)
    try:
        experiment = stored_experiment(origin, model.architecture)
    except (MisuseError, TypeError, ValueError) as error:
        raise InputError(f"{path}: its description is damaged ({reason(error)}).") from error
    measured = find_defaults(model.architecture.backbone).bfloat16
    measured = measured and experiment.detect.precision != "float32"
    chosen = choose_precision(precision, device, measured)
    output.note(f"Model: {path}" + (", in bfloat16" if chosen == "bfloat16" else ""))
    return LoadedModel(model.to(device), path, origin, experiment, chosen)


def open_evaluation_split(
    output: Output,
    loaded: LoadedModel,
    name: str | None,
    split: str | None,
    data_root: Path | None,
) -> JudgedOn:
    """The data set to judge a model on; by default its own, test where that is annotated."""
    name, data_root = _data_set_of(loaded, name, data_root)
    dataset = open_split(output, name, split, data_root)
    check_classes(loaded, dataset)
    return JudgedOn(dataset, data_root)


def open_unseen_split(
    output: Output,
    loaded: LoadedModel,
    name: str | None,
    split: str | None,
    data_root: Path | None,
) -> JudgedOn:
    """A split to make choices by: val, else test, whichever the model has not trained on.

    Raises MisuseError where it has seen images of them all, or of the split that is named.
    """
    name, data_root = _data_set_of(loaded, name, data_root)
    annotated = available_splits(name, data_root)
    splits = [split] if split else [each for each in ("val", "test") if annotated.get(each)]
    for each in splits:
        dataset = find_dataset(name, each, data_root)
        check_classes(loaded, dataset)
        seen = trained_on(loaded.experiment.data, dataset)
        if seen:
            output.note(f"Not on split {each} of {name}: the model was trained on images of it.")
            continue
        if seen is None:
            output.warn(f"{loaded.path} does not say what it was trained on: was it {name} {each}?")
        if each == "test":
            output.warn("What is chosen on the test split cannot be judged by it afterwards.")
        output.note(f"Data set: {name}, split {each}, {len(dataset)} images")
        return JudgedOn(dataset, data_root)
    raise MisuseError(
        f"{name}: the model was trained on images of its {' and '.join(splits) or 'splits'}, "
        "which cannot tell what it loses.\nName a data set or a --split that it has not seen."
    )


def _data_set_of(
    loaded: LoadedModel, name: str | None, data_root: Path | None
) -> tuple[str, Path | None]:
    """The data set that is named, or else the model's own, and the folder to look for it in."""
    if name is not None:
        return name, data_root
    own = loaded.experiment.data
    if not own.dataset:
        raise MisuseError(f"{loaded.path} does not say its data set. Name one.")
    return own.dataset, data_root or (Path(own.root) if own.root else None)


def open_split(
    output: Output,
    name: str,
    split: str | None,
    data_root: Path | None,
    report: Report = refuse,
) -> Dataset:
    """The split of a data set to judge on: test where it is annotated, else val; says which."""
    if split is None:
        splits = default_splits(name, data_root)
        split = splits.evaluation
        if not splits.apart:
            output.warn(f"{name} has the split {split} alone: it may have been trained on.")
    dataset = find_dataset(name, split, data_root, report)
    output.note(f"Data set: {name}, split {split}, {len(dataset)} images")
    return dataset


def check_classes(loaded: LoadedModel, dataset: Dataset) -> None:
    """Raises MisuseError where the model's classes are not the data set's."""
    ours = loaded.model.architecture.classes
    if ours != dataset.classes:
        raise MisuseError(
            f"{loaded.path} knows {len(ours)} classes ({', '.join(ours[:3])} ...), but "
            f"{dataset.name} has {len(dataset.classes)} ({', '.join(dataset.classes[:3])} ...).\n"
            "Evaluate on the data set that the model was trained for."
        )
