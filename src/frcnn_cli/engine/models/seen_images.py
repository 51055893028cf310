"""Which images of a dataset a model was trained on."""

from __future__ import annotations

import filecmp
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.fingerprint import Fingerprint, name_of
from frcnn_cli.engine.models.loaded import LoadedModel
from frcnn_cli.engine.models.provenance import (
    dataset_fingerprint,
    earlier_fingerprints,
    training_fingerprints,
)
from frcnn_cli.engine.records import Dataset, ImageRecord
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import DataSettings
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import image_digest
from frcnn_proposals.wording import counted

# The parts that splits consist of.
_PARTS = {"trainval": {"train", "val"}, "all": {"train", "val", "test"}}


def seen_images(
    loaded: LoadedModel,
    dataset: Dataset,
    digests: Mapping[str, str],
    data_root: Path | None = None,
    reporter: Reporter = SILENT,
) -> int | None:
    """The number of scored images that the model was trained on; warns if there are any.

    None if it is unknown. digests: SHA-256 of the image files by image id, if they were read.
    """
    count = count_seen(loaded.origin, loaded.experiment.data, dataset, digests, data_root)
    if count:
        least = "at least " if None in earlier_fingerprints(loaded.origin) else ""
        reporter.warn(
            f"{loaded.name} was trained on {least}{count} of the "
            f"{counted(len(dataset), 'image')}, so its scores do not apply to new images."
        )
    return count


def warn_early(
    loaded: LoadedModel, dataset: Dataset, digests: Mapping[str, str], reporter: Reporter
) -> bool:
    """Warn like seen_images, before long work; return whether it did.

    Only if the model has a fingerprint of its training images: otherwise all files are read.
    """
    has_fingerprint = dataset_fingerprint(loaded.origin) is not None
    return has_fingerprint and bool(seen_images(loaded, dataset, digests, reporter=reporter))


def count_seen(
    origin: Mapping[str, Any],
    training: DataSettings,
    dataset: Dataset,
    digests: Mapping[str, str],
    data_root: Path | None = None,
) -> int | None:
    """The number of images of `dataset` that a model was trained on; None if it is unknown.

    They include the training images of the detector that it started from; if these are unknown, a
    number above 0 is the least. Images are compared by digest, and by id within one dataset. Models
    of older versions have no fingerprint of their training images, so the images themselves are
    compared, if they exist.

    origin, training: stored with the model. digests: SHA-256 of image files by image id, as far as
    they are known. data_root: folder of `dataset`.
    """
    if fingerprints := training_fingerprints(origin):
        seen = len(set[str]().union(*(each.seen_of(dataset, digests) for each in fingerprints)))
    else:
        images = _training_images(training, dataset, data_root)
        if images is None:
            return None
        seen = sum(_seen_among(images, dataset))
    return None if seen == 0 and None in earlier_fingerprints(origin) else seen


def trained_on(
    training: DataSettings,
    dataset: Dataset,
    origin: Mapping[str, Any] | None = None,
    data_root: Path | None = None,
) -> bool | None:
    """Whether a model was trained on any image of `dataset`; None if it is unknown.

    As count_seen, but reads the files of images with known ids and other annotations. If the
    training images do not exist, the names of dataset and split decide.
    """
    fingerprints = training_fingerprints(origin or {})
    unseen = None if None in earlier_fingerprints(origin or {}) else False
    if any(each.seen_of(dataset, _digests(each, dataset)) for each in fingerprints):
        return True
    if fingerprints:
        images = _images_of(training.dataset, training.training_split, training.folder)
        return any(_seen_among(images or {}, dataset)) or unseen
    images = _training_images(training, dataset, data_root)
    if images is not None:
        return any(_seen_among(images, dataset)) or unseen
    if not training.dataset or name_of(training.dataset) != name_of(dataset.name):
        return None
    parts = (_PARTS.get(split, {split}) for split in (training.split, dataset.split))
    return bool(set.intersection(*parts)) or unseen


def _training_images(
    training: DataSettings, dataset: Dataset, data_root: Path | None
) -> dict[str, ImageRecord] | None:
    """The training images by id, from their own dataset or from an equally named `dataset`."""
    images = _images_of(training.dataset, training.training_split, training.folder)
    if images is None and name_of(training.dataset) == name_of(dataset.name):
        return _images_of(dataset.name, training.training_split, data_root)
    return images


def _images_of(name: str, split: str, data_root: Path | None) -> dict[str, ImageRecord] | None:
    """The images of a split by id; None if it cannot be read."""
    if not name or not split:
        return None
    try:
        found = find_dataset(name, split, data_root, report=lambda fault: None)
    except InputError:
        return None
    return {record.image_id: record for record in found.images}


def _seen_among(images: Mapping[str, ImageRecord], dataset: Dataset) -> list[bool]:
    """For each image of `dataset`, whether it is the same file or has the same id and bytes."""
    files = {record.path.resolve() for record in images.values()}
    return [
        record.path.resolve() in files
        or (record.image_id in images and _same_bytes(record.path, images[record.image_id].path))
        for record in dataset.images
    ]


def _same_bytes(path: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(path, other, shallow=False)
    except OSError:
        return False


def _digests(fingerprint: Fingerprint, dataset: Dataset) -> dict[str, str]:
    """The digests of images that have the id of a training image, but another annotation."""
    digests = {}
    for record in fingerprint.relabelled(dataset):
        try:
            digests[record.image_id] = image_digest(record.path)
        except InputError:
            continue
    return digests
