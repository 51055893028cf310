"""Paths of a training run: names in its model, absolute in the run's folder.

A model is shared, and paths of the machine that trained it would reveal its user and mean nothing
elsewhere. Next to its run's setting, they are found again.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from frcnn_cli.engine.settings import Experiment
from frcnn_cli.engine.settings.fields import values_of
from frcnn_cli.engine.settings.overrides import Override, override, read_toml
from frcnn_proposals.errors import InputError

# Fields of an experiment that can contain a path; data.root is one too.
_FIELDS = ("data.dataset", "data.split", "proposals.file", "weights", "init")
# Those of its data, which may move: the fingerprints of dataset and proposals have no paths.
DATA_FIELDS = ("data.dataset", "data.root", "proposals.file")


def without_paths(origin: Mapping[str, Any]) -> dict[str, Any]:
    """The origin of a model, its absolute paths replaced by their last part."""
    shared = dict(origin)
    if "compressed_from" in shared:
        shared["compressed_from"] = _name(str(shared["compressed_from"]))
    if isinstance(shared.get("experiment"), Mapping):
        shared["experiment"] = _named_only(shared["experiment"])
    return shared


def _named_only(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """The values of an experiment, nested by section, with names in place of paths."""
    shared: dict[str, Any] = {
        key: dict(value) if isinstance(value, Mapping) else value
        for key, value in experiment.items()
    }
    for field in _FIELDS:
        section, _, key = field.rpartition(".")
        values = shared.get(section, {}) if section else shared
        if key in values:  # older versions had fewer settings
            values[key] = _name(str(values[key]))
    if "data" in shared:
        shared["data"]["root"] = ""
    return shared


def with_local_paths(experiment: Experiment, setting: Path) -> Experiment:
    """The experiment of a model with the paths in `setting`, the file of its run.

    Only paths with the same names are used. A file that is missing or damaged is ignored.
    """
    if not setting.is_file():
        return experiment
    with suppress(InputError, OSError):
        local = override(Experiment(), read_toml(setting))
        stored, found = values_of(experiment), values_of(local)
        same = [field for field in _FIELDS if _name(found[field]) == stored[field]]
        experiment = override(experiment, [Override(f, found[f], str(setting)) for f in same])
        if "data.dataset" in same and not experiment.data.root:
            experiment = replace(experiment, data=replace(experiment.data, root=local.data.root))
    return experiment


def _name(path: str) -> str:
    """The last part of an absolute path, or of each one joined by '+'; others are unchanged."""
    members = [path] if Path(path).exists() else path.split("+")
    return "+".join(Path(part).name if Path(part).is_absolute() else part for part in members)
