"""Which images of a data set a model has been trained on, by what its file says."""

from __future__ import annotations

import filecmp
from pathlib import Path

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import DataSettings
from frcnn_proposals.errors import InputError, MisuseError

_WITHIN = {"train": ("train", "trainval", "all"), "val": ("val", "trainval", "all")}


def trained_on(training: DataSettings, dataset: Dataset) -> bool | None:
    """Whether any image of `dataset` was among those that a model was trained on.

    training: as stored with the model. An image counts as the same where it is the same file, or
    has the same id and the same bytes. Where the training images are no longer to be found,
    names decide: one data set, and a split that lies within the other. None where `training`
    does not say, or names another data set that is not to be found.
    """
    name, split, root = training.dataset, training.split, training.root
    if not name or not split:
        return None
    try:
        seen = find_dataset(name, split, Path(root) if root else None)
    except (InputError, MisuseError):
        if Path(name).name != Path(dataset.name).name:
            return None
        return split in _WITHIN.get(dataset.split, (dataset.split, "all"))
    paths = {record.image_id: record.path for record in seen.images}
    files = {path.resolve() for path in paths.values()}
    return any(
        record.path.resolve() in files
        or (record.image_id in paths and _same_bytes(record.path, paths[record.image_id]))
        for record in dataset.images
    )


def _same_bytes(path: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(path, other, shallow=False)
    except OSError:
        return False
