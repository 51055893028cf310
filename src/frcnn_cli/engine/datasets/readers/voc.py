"""The VOC layout: ImageSets/Main/<split>.txt, Annotations/<id>.xml, JPEGImages/<id>.jpg."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from frcnn_cli.engine.datasets.layout import ALL, Fault, Report, index_images, leads_inside
from frcnn_cli.engine.datasets.readers.voc_xml import (
    Annotation,
    annotated_image,
    classes_of,
    read_annotation,
)
from frcnn_cli.engine.datasets.text_files import CLASSES_FILE, read_classes, read_image_ids
from frcnn_cli.engine.records import Dataset
from frcnn_proposals.errors import InputError

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
SPLITS = ("train", "val", "trainval", "test", ALL)


@dataclass(frozen=True)
class VocLayout:
    """A folder in the VOC layout.

    classes: class names in order of label. None uses those in classes.txt; without that file, all
        names in the annotations, sorted.
    """

    root: Path
    classes: tuple[str, ...] | None = None
    kind: str = "VOC"

    @staticmethod
    def is_at(root: Path) -> bool:
        """Whether the folder has the VOC layout."""
        return (root / "ImageSets" / "Main").is_dir() and any(
            (root / folder).is_dir() for folder in ("JPEGImages", "Annotations")
        )

    def splits(self) -> dict[str, bool]:
        """Map the existing splits to whether they have annotations."""
        splits = {}
        for split in SPLITS:
            if self._split_file(split).is_file():
                ids = self._ids(split)
                splits[split] = any(self._annotation_file(image_id).is_file() for image_id in ids)
        return splits

    def read(self, split: str, name: str, report: Report) -> Dataset:
        """Read the split: images in the order of its list. Either all are annotated or none is."""
        ids = self._ids(split)
        if not ids:
            raise InputError(f"{self._split_file(split)} lists no images")
        for image_id in ids:
            if not leads_inside(image_id):
                raise InputError(f"{self._split_file(split)}: unusable image id {image_id[:80]!r}")
        annotated = self.splits()[split]
        annotations = {
            image_id: read_annotation(self._annotation_file(image_id), report)
            for image_id in (ids if annotated else ())
        }
        classes = self.classes or self._classes(annotations)
        label_of = {class_name: label for label, class_name in enumerate(classes, start=1)}
        image_files = self._image_files(ids)
        images = []
        for image_id in ids:
            image_path = image_files.get(image_id, self.root / "JPEGImages" / f"{image_id}.jpg")
            if image_id not in image_files:
                message = f"lists {image_id}, which is missing in JPEGImages"
                report(Fault(self._split_file(split), message, missing_image=True))
            images.append(
                annotated_image(image_id, image_path, annotations.get(image_id), label_of, report)
            )
        return Dataset(name, split, classes, tuple(images))

    def _classes(self, annotations: dict[str, Annotation | None]) -> tuple[str, ...]:
        """Read classes.txt, or collect the names in all splits, so that all splits agree."""
        classes_file = self.root / CLASSES_FILE
        if classes_file.is_file():
            return read_classes(classes_file)
        all_ids = {image_id for split in self.splits() for image_id in self._ids(split)}
        others = (
            read_annotation(path, lambda fault: None)
            for image_id in sorted(all_ids - set(annotations))
            if leads_inside(image_id) and (path := self._annotation_file(image_id)).is_file()
        )
        return classes_of((*annotations.values(), *others), self.root)

    def _image_files(self, ids: Iterable[str]) -> dict[str, Path]:
        """Map ids to image files. The id of an image in a subfolder contains the subfolder."""
        images = self.root / "JPEGImages"
        return {
            (folder / stem).as_posix(): path
            for folder in {PurePath(image_id).parent for image_id in ids}
            for stem, path in index_images(images / folder).items()
        }

    def _ids(self, split: str) -> tuple[str, ...]:
        """Return the image ids of a split's list; repeated ids count once."""
        return tuple(dict.fromkeys(read_image_ids(self._split_file(split))))

    def _split_file(self, split: str) -> Path:
        return self.root / "ImageSets" / "Main" / f"{split}.txt"

    def _annotation_file(self, image_id: str) -> Path:
        return self.root / "Annotations" / f"{image_id}.xml"
