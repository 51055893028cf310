"""One complete Experiment from the options of `frcnn train`, or the arguments of `frcnn.train`.

Later ones override earlier ones: preset, variants, --config, options.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from frcnn_cli.engine.datasets.locate import data_roots, members_of
from frcnn_cli.engine.models.file import read_architecture
from frcnn_cli.engine.models.presets import WEAK_BACKBONE, base_experiment, variant_changes
from frcnn_cli.engine.models.shipped.table import shipped_name
from frcnn_cli.engine.models.store import RUNS, find_model, find_run, meanings
from frcnn_cli.engine.settings import Experiment, Preprocessing
from frcnn_cli.engine.settings.fields import values_of
from frcnn_cli.engine.settings.overrides import Override, from_assignment, override, read_toml
from frcnn_cli.engine.settings.weak import WEAK
from frcnn_proposals.errors import MisuseError

# Options that each set one field.
FIELDS = {
    "dataset": "data.dataset",
    "split": "data.split",
    "data_root": "data.root",
    "val_share": "data.val_share",
    "backbone": "backbone",
    "weights": "weights",
    "init": "init",
    "proposals": "proposals.file",
    "source": "proposals.source",
    "parameters": "proposals.parameters",
    "allow_mismatch": "proposals.allow_mismatch",
    "sampling": "sampling.strategy",
    "iterations": "schedule.iterations",
    "epochs": "schedule.epochs",
    "learning_rate": "schedule.learning_rate",
    "seed": "train.seed",
    "workers": "train.workers",
    "precision": "train.precision",
    "compile": "train.compile",
    "checkpoint_every": "train.checkpoint_every",
    "eval_every": "train.eval_every",
}


_LENGTHS = ("schedule.iterations", "schedule.epochs")


@dataclass(frozen=True)
class SettingOptions:
    """The options of `frcnn train` and `frcnn config show` that set up a run.

    assignments: `section.name=value`, as on the command line. fields: values of the given
    options, by the names of FIELDS. settings: values by `section.name`, as in Python. runs_root:
    folder in which the run of `init` is found by name.
    """

    preset: str | None = None
    variants: tuple[str, ...] = ()
    config: Path | None = None
    scale: int | None = None
    assignments: tuple[str, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    runs_root: Path = RUNS

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> SettingOptions:
        """Create the record from the values of `setting_options` by name; None means not given."""
        values = {
            name: value
            for name, value in given.items()
            if value is not None and (name, value) != ("parameters", ())
        }
        fields = {name: values.pop(name) for name in FIELDS if name in values}
        return cls(**values, fields=fields)


def experiment_from(options: SettingOptions) -> Experiment:
    """The experiment that the options describe, with absolute paths.

    Raises MisuseError or InputError if the options cannot be read or contradict each other.
    """
    base, changes = base_and_changes(options)
    return _with_absolute_paths(override(base, changes))


def base_and_changes(options: SettingOptions) -> tuple[Experiment, list[Override]]:
    """The base experiment and its changes; the last change of a field wins.

    Raises the same errors as `experiment_from`.
    """
    in_file = [] if options.config is None else _read_config(options.config)
    given = _with_one_length([*in_file, *_from_options(options)])
    given = [_with_run_folder(change, options.runs_root) for change in given]
    base = _base(options, given)
    changes = [*variant_changes(base, options.variants), *given]
    if options.scale is not None:
        named = {change.path for change in given}
        changes += _at_scale(override(base, changes), options.scale, named)
    return base, changes


def _with_one_length(given: list[Override]) -> list[Override]:
    """The changes with one length of training: the last one given, of iterations and epochs.

    A given length is not shortened for small datasets. In the setting of a run, epochs is 0.
    """
    given = [change for change in given if change.path != _LENGTHS[1] or change.value != 0]
    lengths = [change for change in given if change.path in _LENGTHS]
    if not lengths:
        return given
    others = [change for change in given if change.path not in _LENGTHS]
    path, where = lengths[-1].path, lengths[-1].where
    last = [change for change in lengths if change.path == path]
    none = [Override("schedule.epochs", 0.0, where)] if path == _LENGTHS[0] else []
    return [*others, *last, *none, Override("schedule.shorten_below", 0, where)]


_RESIZE = "preprocessing.resize"


def _read_config(path: Path) -> list[Override]:
    """The values in a TOML file.

    The setting of a run has every field. If an older version wrote it, it has no `resize`: its
    images were resized in 8 bits, whatever the backbone's value is now.
    """
    given = read_toml(path)
    missing = {f"preprocessing.{each.name}" for each in fields(Preprocessing)}
    missing -= {change.path for change in given}
    if missing == {_RESIZE}:
        given.append(Override(_RESIZE, Preprocessing().resize, str(path)))
    return given


def _from_options(options: SettingOptions) -> list[Override]:
    given = [
        Override(FIELDS[name], str(value) if isinstance(value, Path) else value, _option(name))
        for name, value in options.fields.items()
    ]
    given += [from_assignment(text, "--set") for text in options.assignments]
    given += [Override(path, value, "settings") for path, value in options.settings.items()]
    for path, count in Counter(change.path for change in given).items():
        if count > 1:
            where = ", ".join(change.where for change in given if change.path == path)
            raise MisuseError(f"{path} is given {count} times: {where}. Give it once.")
    for change in given:
        if change.path == _LENGTHS[1] and change.value == 0:  # in the setting of a run: not given
            raise MisuseError(f"{change.where} is 0; it must be greater than 0.")
    lengths = [change.where for change in given if change.path in _LENGTHS]
    if len(lengths) > 1:
        raise MisuseError(f"Give either iterations or epochs, not both ({', '.join(lengths)}).")
    return given


def _with_run_folder(change: Override, runs_root: Path) -> Override:
    """The change, with the folder of the run if it is the name of a run to start from."""
    if change.path != "init" or not change.value:
        return change
    return replace(change, value=str(find_run(Path(str(change.value)), runs_root)))


def _base(options: SettingOptions, given: list[Override]) -> Experiment:
    """The base for the given backbone, or for the backbone of the --init detector."""
    preset = options.preset
    chosen = {change.path: change for change in given if change.path in ("backbone", "init")}
    backbone = str(chosen["backbone"].value) if "backbone" in chosen else None
    if "init" not in chosen or not chosen["init"].value:
        if preset is None and backbone is None and not set(WEAK).isdisjoint(options.variants):
            backbone = WEAK_BACKBONE
        return base_experiment(preset, backbone)
    path = Path(str(chosen["init"].value))
    model = read_architecture(find_model(path, options.runs_root))
    if backbone not in (None, model.backbone):
        raise MisuseError(
            f"{path}: this model has the backbone {model.backbone}. "
            f"Omit {chosen['backbone'].where}, or set it to {model.backbone}."
        )
    return base_experiment(preset, model.backbone, model.preprocessing)


def _at_scale(experiment: Experiment, scale: int, named: set[str]) -> list[Override]:
    """Changes that set the scale, and scale other sizes in proportion.

    These are the maximum size and the scales of sampling and detection, unless these scales
    are `named` fields.
    """
    preprocessing = experiment.preprocessing
    ratio = scale / preprocessing.scale
    changes: dict[str, Any] = {
        "preprocessing.scale": scale,
        "preprocessing.max_size": preprocessing.at_scale(scale).max_size,
    }
    values = values_of(experiment)
    for path in ("sampling.scales", "detect.scales"):
        if path not in named:
            changes[path] = tuple(round(length * ratio) for length in values[path])
    return [Override(path, value, "--scale") for path, value in changes.items()]


def _with_absolute_paths(experiment: Experiment) -> Experiment:
    """Make all paths absolute, so that the run can be resumed from any folder."""
    weights = experiment.weights
    return replace(
        with_absolute_data(experiment),
        weights=weights if weights in ("imagenet", "none") else _absolute(weights),
        init=_absolute_model(experiment.init),
    )


def with_absolute_data(experiment: Experiment) -> Experiment:
    """Make the paths of dataset and proposals absolute."""
    data, proposals = experiment.data, experiment.proposals
    root = data_roots(data.folder)[0]
    return replace(
        experiment,
        data=replace(
            data,
            dataset="+".join(map(_absolute, members_of(data.dataset))),
            split=_absolute(data.split) if data.split.endswith(".txt") else data.split,
            root=str(root.resolve()),
        ),
        proposals=replace(proposals, file=_absolute(proposals.file)),
    )


def _absolute_model(name: str) -> str:
    """The absolute path of a model; a shipped model keeps its name."""
    found = meanings(Path(name), Path(name).parent) if name else ()
    return name if found and shipped_name(found[0]) else _absolute(name)


def _absolute(name: str) -> str:
    return str(Path(name).resolve()) if name and Path(name).exists() else name


def _option(name: str) -> str:
    named = {"dataset": "DATASET", "parameters": "--param"}
    return named.get(name, "--" + name.replace("_", "-"))
