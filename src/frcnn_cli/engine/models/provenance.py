"""The origin of a model: its experiment, its proposals and its training images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from frcnn_cli.engine.datasets.fingerprint import Fingerprint
from frcnn_cli.engine.models.file import damaged
from frcnn_cli.engine.models.local_paths import with_local_paths
from frcnn_cli.engine.models.store import SETTING_FILE
from frcnn_cli.engine.settings import Architecture, Experiment
from frcnn_cli.engine.settings.fields import nested
from frcnn_cli.engine.settings.overrides import Override, from_nested, override
from frcnn_proposals.base import Proposals
from frcnn_proposals.digest import proposal_digest
from frcnn_proposals.errors import MisuseError, reason
from frcnn_proposals.formats.read import RecordedProposals

# Keys of format 1, and the fields that replace them.
_FORMAT_1 = {
    "dataset": "data.dataset",
    "split": "data.split",
    "data_root": "data.root",
    "proposals": "proposals.file",
    "source": "proposals.source",
    "allow_mismatch": "proposals.allow_mismatch",
    "allow_missing": "proposals.allow_mismatch",
}


_DATASET = "dataset_fingerprint"
_EARLIER = "earlier_fingerprints"


def origin_of(
    experiment: Experiment, fingerprint: str, dataset: Fingerprint | None = None
) -> dict[str, Any]:
    """The origin of a model as JSON values, to store with it.

    fingerprint: of the proposals, from `proposals_fingerprint`. dataset: of the training images.
    """
    origin = {"experiment": nested(experiment), "proposals_fingerprint": fingerprint}
    return origin if dataset is None else with_dataset(origin, dataset)


def with_dataset(
    origin: Mapping[str, Any], dataset: Fingerprint, earlier: Sequence[Fingerprint | None] = ()
) -> dict[str, Any]:
    """The origin with the fingerprint of the training images.

    earlier: the fingerprints of all images that the initial detector was trained on; None for
    those that are unknown.
    """
    stored = [None if each is None else each.to_json() for each in earlier]
    return {**origin, _DATASET: dataset.to_json(), **({_EARLIER: stored} if earlier else {})}


def dataset_fingerprint(origin: Mapping[str, Any]) -> Fingerprint | None:
    """The fingerprint of the training images; None in files of older versions."""
    return Fingerprint.from_json(origin.get(_DATASET))


def earlier_fingerprints(origin: Mapping[str, Any]) -> tuple[Fingerprint | None, ...]:
    """The fingerprints of all images that the initial detector was trained on, as stored.

    None for images that are unknown, as are those of an initial detector in older versions.
    """
    earlier = origin.get(_EARLIER)
    if isinstance(earlier, list):
        return tuple(Fingerprint.from_json(value) for value in earlier)
    experiment = origin.get("experiment")
    has_initial = isinstance(experiment, Mapping) and bool(experiment.get("init"))
    return (None,) if has_initial else ()


def training_fingerprints(origin: Mapping[str, Any]) -> tuple[Fingerprint, ...]:
    """The fingerprints of all images that a model has learned from; empty for older versions.

    Its own training images are first. Those of the detectors that it started from follow.
    """
    own = dataset_fingerprint(origin)
    if own is None:
        return ()
    return (own, *(each for each in earlier_fingerprints(origin) if each is not None))


def stored_experiment(
    origin: Mapping[str, Any], architecture: Architecture, path: Path | None = None
) -> Experiment:
    """The experiment that a model was trained with; settings missing in older formats are defaults.

    In the folder of its run, its paths are those of the run's setting.
    Raises InputError, which names the model's `path`, if the stored experiment is damaged.
    """
    try:
        experiment = override(Experiment(), _stored_values(origin, architecture))
    except (MisuseError, TypeError, ValueError) as error:
        problem = f"the stored experiment is damaged ({reason(error)})"
        raise damaged(path or Path("Model"), problem) from error
    return experiment if path is None else with_local_paths(experiment, path.parent / SETTING_FILE)


def _stored_values(origin: Mapping[str, Any], architecture: Architecture) -> list[Override]:
    where = "The stored experiment"
    if "experiment" in origin:
        return from_nested(origin["experiment"], where)
    overrides = [
        Override("backbone", architecture.backbone, where),
        Override("weights", "imagenet" if architecture.pretrained else "none", where),
        *from_nested({"preprocessing": nested(architecture.preprocessing)}, where),
        *(
            Override(path, origin[key], where)
            for key, path in _FORMAT_1.items()
            if origin.get(key) is not None
        ),
    ]
    settings = from_nested(origin.get("settings", {}), where)
    return overrides + [
        setting if "." in setting.path else replace(setting, path=f"train.{setting.path}")
        for setting in settings
    ]


def proposals_fingerprint(
    path: Path, proposals: Mapping[str, Proposals], is_cache: bool = False
) -> str:
    """A fingerprint of the proposals: of a store, or SHA-256 of another file or folder.

    For a store: provenance, number of images and size, separated by spaces. For parts: provenance,
    number of images and digest. For the cache, which grows: only the provenance.
    """
    if not isinstance(proposals, RecordedProposals):
        return proposal_digest(path)
    provenance = proposals.provenance.fingerprint
    if is_cache:
        return provenance
    content = proposal_digest(path) if path.is_dir() else path.stat().st_size
    return f"{provenance} {len(proposals)} {content}"


def same_proposals(original: str, current: str) -> bool:
    """Whether two fingerprints are equal; older versions stored only the provenance of a store."""
    return current == original or (" " not in original and current.split(" ")[0] == original)
