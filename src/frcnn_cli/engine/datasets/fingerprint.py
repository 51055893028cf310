"""The fingerprint of a dataset: what it contains, without paths and times.

It does not change if the dataset is moved. Per image it contains short digests of the id, of the
size and objects, and of the file if its bytes were read anyway.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from frcnn_cli.engine.datasets.readers.voc import VOC_CLASSES
from frcnn_cli.engine.records import Dataset, ImageRecord
from frcnn_proposals.wording import counted

# Hexadecimal digits of a digest: 64 bits.
_DIGITS = 16
_NO_FILE = "0" * _DIGITS


def _short(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_DIGITS]


_VOC2007 = "voc2007"
_VOC_CLASSES = _short("\0".join(VOC_CLASSES))


@dataclass(frozen=True)
class Fingerprint:
    """name: of the dataset, without folders. classes: their digest. images: digest of the id ->
    digest of the annotation; files: digest of the id -> digest of the file, if known.
    """

    name: str
    classes: str
    images: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, dataset: Dataset, digests: Mapping[str, str] | None = None) -> Fingerprint:
        """The fingerprint of a split. digests: SHA-256 of image files, by image id."""
        images = {_short(image.image_id): annotation_digest(image) for image in dataset.images}
        without_files = cls(name_of(dataset.name), _short("\0".join(dataset.classes)), images)
        return without_files.with_files(digests or {})

    def with_files(self, digests: Mapping[str, str]) -> Fingerprint:
        """The same with the digests of further image files, by image id; others are ignored."""
        files = {_short(image_id): digest[:_DIGITS] for image_id, digest in digests.items()}
        own = {key: digest for key, digest in files.items() if key in self.images}
        return replace(self, files={**self.files, **own})

    def file_of(self, image_id: str) -> str | None:
        """The digest of the image's file, shortened as by `short_digest`; None if unknown."""
        return self.files.get(_short(image_id))

    def differences(self, dataset: Dataset, digests: Mapping[str, str]) -> list[str]:
        """The differences of `dataset` in words; empty if there are none.

        digests: SHA-256 of image files, by image id, if known.
        """
        now = Fingerprint.of(dataset, digests)
        added, changed, replaced = [], [], []
        for image in dataset.images:
            key = _short(image.image_id)
            if key not in self.images:
                added.append(image.image_id)
            elif self.images[key] != now.images[key]:
                changed.append(image.image_id)
            if key in self.files and now.files.get(key, self.files[key]) != self.files[key]:
                replaced.append(image.image_id)
        removed = len(self.images.keys() - now.images.keys())
        return [
            *(["the classes differ"] if self.classes != now.classes else []),
            *([counted(removed, "image was removed", "images were removed")] if removed else []),
            *_named(added, "image was added", "images were added"),
            *_named(
                changed,
                "image has another size or other objects",
                "images have other sizes or objects",
            ),
            *_named(replaced, "image file was replaced", "image files were replaced"),
        ]

    def seen_of(self, dataset: Dataset, digests: Mapping[str, str]) -> set[str]:
        """The ids of the images of `dataset` that are in this one too.

        An image is the same if its file is the same or, within one dataset, its id, unless both
        file and annotation are known to differ. Images of VOC2007 are the same if their ids are,
        wherever the dataset is and however its files were written.
        """
        known_files = set(self.files.values())
        same_name = bool(set(self.name.split("+")) & set(name_of(dataset.name).split("+")))
        seen = set()
        for image in dataset.images:
            key, file = _short(image.image_id), digests.get(image.image_id, "")[:_DIGITS]
            by_id = same_name and key in self.images
            is_other = (
                file and key in self.files and self.images.get(key) != annotation_digest(image)
            )
            is_voc = key in self.images and self._is_voc2007 and _is_of_voc2007(image, dataset)
            if file in known_files or (by_id and not is_other) or is_voc:
                seen.add(image.image_id)
        return seen

    @property
    def _is_voc2007(self) -> bool:
        return _VOC2007 in self.name.lower().split("+") and self.classes == _VOC_CLASSES

    def relabelled(self, dataset: Dataset) -> list[ImageRecord]:
        """The images of `dataset` that have an id, but another annotation, in this one."""
        return [
            image
            for image in dataset.images
            if self.images.get(_short(image.image_id), annotation_digest(image))
            != annotation_digest(image)
        ]

    def to_json(self) -> dict[str, Any]:
        """JSON values; the digests as base64 of 8 bytes per image, 0 for an unknown file."""
        files = [self.files.get(key, _NO_FILE) for key in self.images]
        images = self.images
        columns = {"ids": [*images], "annotations": [*images.values()], "files": files}
        packed = {name: _packed(digests) for name, digests in columns.items()}
        return {"name": self.name, "classes": self.classes, **packed}

    @classmethod
    def from_json(cls, value: Any) -> Fingerprint | None:
        """The inverse of to_json; None for a value that is not a fingerprint."""
        try:
            columns = [_unpacked(value[name]) for name in ("ids", "annotations", "files")]
            rows = list(zip(*columns, strict=True))
            name, classes = str(value["name"]), str(value["classes"])
        except (KeyError, TypeError, ValueError):
            return None
        files = {key: file for key, _, file in rows if file != _NO_FILE}
        return cls(name, classes, {key: annotation for key, annotation, _ in rows}, files)


def _is_of_voc2007(image: ImageRecord, dataset: Dataset) -> bool:
    """Whether an image is of VOC2007, by the dataset's name or by its folder in a VOCdevkit."""
    if dataset.classes != VOC_CLASSES:
        return False
    names = name_of(dataset.name).lower().split("+")
    return _VOC2007 in names or image.path.parent.parent.name.lower() == _VOC2007


def name_of(dataset: str) -> str:
    """A dataset's name without folders; of a union, those of its members."""
    return "+".join(Path(part).name for part in dataset.split("+"))


def short_digest(digest: str) -> str:
    """A SHA-256 as a fingerprint stores it."""
    return digest[:_DIGITS]


def annotation_digest(record: ImageRecord) -> str:
    """A digest of the annotated size and objects of an image."""
    truth = record.truth
    if truth is None:
        known = "unknown" if record.labels is None else str(record.labels)
        return _short(f"{record.width} {record.height} {known}")
    content = hashlib.sha256(f"{record.width} {record.height} {len(truth)}".encode())
    for values in (truth.boxes, truth.labels, truth.difficult, truth.crowd):
        content.update(values.tobytes())
    return content.hexdigest()[:_DIGITS]


def _named(image_ids: Iterable[str], one: str, several: str) -> list[str]:
    names = list(image_ids)
    more = ", ..." if len(names) > 3 else ""
    return [f"{counted(len(names), one, several)} ({', '.join(names[:3])}{more})"] if names else []


def _packed(digests: Iterable[str]) -> str:
    return base64.b64encode(bytes.fromhex("".join(digests))).decode()


def _unpacked(text: str) -> list[str]:
    digits = base64.b64decode(text, validate=True).hex()
    return [digits[start : start + _DIGITS] for start in range(0, len(digits), _DIGITS)]
