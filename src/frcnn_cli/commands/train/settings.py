"""From the command line of `frcnn train` to one complete Experiment.

A later one of these counts: preset, variants, --config, options.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from frcnn_cli.engine.datasets.locate import data_roots
from frcnn_cli.engine.models.file import read_architecture
from frcnn_cli.engine.models.presets import base_experiment, variant_changes
from frcnn_cli.engine.models.store import find_model
from frcnn_cli.engine.settings import Experiment
from frcnn_cli.engine.settings.overrides import Given, from_assignment, override, read_toml
from frcnn_proposals.errors import MisuseError

# Options that name one field each.
FIELDS = {
    "dataset": "data.dataset",
    "split": "data.split",
    "data_root": "data.root",
    "backbone": "backbone",
    "weights": "weights",
    "init": "init",
    "proposals": "proposals.file",
    "source": "proposals.source",
    "allow_mismatch": "proposals.allow_mismatch",
    "sampling": "sampling.strategy",
    "iterations": "schedule.iterations",
    "learning_rate": "schedule.learning_rate",
    "seed": "train.seed",
    "workers": "train.workers",
    "precision": "train.precision",
    "compile": "train.compile",
    "checkpoint_every": "train.checkpoint_every",
    "eval_every": "train.eval_every",
}


@dataclass(frozen=True)
class Wishes:
    """What the command line asks for. options: by the names of FIELDS, those that are given."""

    preset: str | None
    variants: tuple[str, ...]
    config: Path | None
    scale: int | None
    assignments: tuple[str, ...]
    options: dict[str, Any]


def given_options(named: dict[str, Any]) -> dict[str, Any]:
    """Of an option's values by name, those that are there."""
    return {name: value for name, value in named.items() if value is not None}


def experiment_from(wishes: Wishes) -> Experiment:
    """The experiment that is asked for, its paths absolute.

    Raises MisuseError or InputError where the wishes cannot be read or do not go together.
    """
    base, layers = layers_from(wishes)
    return _with_whole_paths(override(base, layers))


def layers_from(wishes: Wishes) -> tuple[Experiment, list[Given]]:
    """The base, and what changes it: of two for one field the later counts.

    Raises MisuseError or InputError as experiment_from.
    """
    wanted = [*_from_config(wishes), *_from_command_line(wishes)]
    base = _base(wishes.preset, wanted)
    layers = [*variant_changes(base, wishes.variants), *wanted]
    if wishes.scale is not None:
        layers += _at_scale(override(base, layers), wishes.scale, {each.path for each in wanted})
    return base, layers


def _from_config(wishes: Wishes) -> list[Given]:
    return [] if wishes.config is None else read_toml(wishes.config)


def _from_command_line(wishes: Wishes) -> list[Given]:
    given = [
        Given(FIELDS[name], str(value) if isinstance(value, Path) else value, _option(name))
        for name, value in wishes.options.items()
    ]
    given += [from_assignment(text, "--set") for text in wishes.assignments]
    for path, count in Counter(each.path for each in given).items():
        if count > 1:
            where = ", ".join(each.where for each in given if each.path == path)
            raise MisuseError(f"{path} is given {count} times: {where}. Give it once.")
    return given


def _base(preset: str | None, wanted: list[Given]) -> Experiment:
    """The base for the backbone that is wanted, or that the detector to start from has."""
    chosen = {each.path: each for each in wanted if each.path in ("backbone", "init")}
    backbone = str(chosen["backbone"].value) if "backbone" in chosen else None
    if "init" not in chosen or not chosen["init"].value:
        return base_experiment(preset, backbone)
    path = Path(str(chosen["init"].value))
    model = read_architecture(find_model(path, path.parent))
    if backbone not in (None, model.backbone):
        raise MisuseError(
            f"{path}: this is a model on {model.backbone}. Leave {chosen['backbone'].where} out, "
            f"or give {model.backbone}."
        )
    return base_experiment(preset, model.backbone, model.preprocessing)


def _at_scale(experiment: Experiment, scale: int, wanted: set[str]) -> list[Given]:
    """The scale, and in proportion what goes with it: the cap, and several scales unless they
    are among the `wanted` fields themselves."""
    preprocessing = experiment.preprocessing
    ratio = scale / preprocessing.scale
    changes: dict[str, Any] = {
        "preprocessing.scale": scale,
        "preprocessing.max_size": preprocessing.at_scale(scale).max_size,
    }
    several = {
        "sampling.scales": experiment.train.sampling.scales,
        "detect.scales": experiment.detect.scales,
    }
    changes |= {
        path: tuple(round(each * ratio) for each in scales)
        for path, scales in several.items()
        if path not in wanted
    }
    return [Given(path, value, "--scale") for path, value in changes.items()]


def _with_whole_paths(experiment: Experiment) -> Experiment:
    """Files and folders by absolute paths, so that the run can be resumed from anywhere."""
    data, proposals, weights = experiment.data, experiment.proposals, experiment.weights
    name = data.dataset
    members = [name] if Path(name).exists() else name.split("+")
    root = data_roots(Path(data.root) if data.root else None)[0]
    return replace(
        experiment,
        weights=weights if weights in ("imagenet", "none") else _whole(weights),
        init=_whole(experiment.init),
        data=replace(data, dataset="+".join(map(_whole, members)), root=str(root.resolve())),
        proposals=replace(proposals, file=_whole(proposals.file)),
    )


def _whole(name: str) -> str:
    return str(Path(name).resolve()) if name and Path(name).exists() else name


def _option(name: str) -> str:
    return "DATASET" if name == "dataset" else "--" + name.replace("_", "-")
