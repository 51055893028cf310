"""The VOC layout: ImageSets/Main/<split>.txt, Annotations/<id>.xml, JPEGImages/<id>.jpg."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from frcnn_cli.engine.datasets.layout import ALL, Fault, Report, leads_inside
from frcnn_cli.engine.datasets.listing import Listed
from frcnn_cli.engine.datasets.readers.voc_lists import VocLists
from frcnn_cli.engine.datasets.readers.voc_xml import (
    Annotation,
    annotated_image,
    classes_of,
    read_annotation,
)
from frcnn_cli.engine.datasets.text_files import CLASSES_FILE, read_classes
from frcnn_cli.engine.records import Dataset, ImageLabels
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
        names in the annotations, sorted, or without annotations those of the lists per class.
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
        return {
            split: any(image.annotation.is_file() for image in self._lists.images[split])
            for split in SPLITS
            if split in self._lists.images
        }

    def images(self, split: str) -> list[Listed]:
        return [(image.image_id, image.path) for image in self._lists.images[split]]

    def omitted(self) -> dict[str, Fault]:
        return self._lists.empty()

    def read(self, split: str, name: str, report: Report) -> Dataset:
        """Read the split: images in the order of its list. Either all are annotated or none is.

        Without annotations, lists per class such as cat_train.txt are the labels of the images.
        """
        file, listed = self._lists.files[split][0], self._lists.images[split]
        for image in listed:
            if not leads_inside(image.image_id):
                raise InputError(f"{file}: unusable image id {image.image_id[:80]!r}")
        for fault in self._lists.per_class():
            report(fault)
        annotated = self.splits()[split]
        annotations = {
            image.annotation: read_annotation(image.annotation, report)
            for image in (listed if annotated else ())
        }
        labels = {} if annotated else self._lists.labels(split)
        classes = self.classes or self._classes(annotations)
        label_of = {class_name: label for label, class_name in enumerate(classes, start=1)}
        if labels:
            for fault in self._unmatched(split, tuple(labels), classes):
                report(fault)
        images = []
        for image in listed:
            if image.missing:
                report(Fault(file, image.missing, missing_image=True))
            if image.others:
                also = ", ".join(image.others)
                message = f"is used for {image.image_id}, and not {also}: the list has no suffix"
                report(Fault(image.path, message, tolerated=True))
            annotation = annotations.get(image.annotation)
            record = annotated_image(image.image_id, image.path, annotation, label_of, report)
            if labels:
                record = replace(record, labels=_labels(image.path, labels, label_of))
            images.append(record)
        return Dataset(name, split, classes, tuple(images))

    def _unmatched(
        self, split: str, labelled: Sequence[str], classes: Sequence[str]
    ) -> Iterator[Fault]:
        """The lists of unknown classes, and the classes without a list. labelled: with a list."""
        lists = self._lists.of_classes[split]
        for name in labelled:
            if name not in classes:
                known = ", ".join(classes)
                yield Fault(lists[name], f"list of an unknown class; the classes are {known}")
        if missing := [name for name in classes if name not in labelled]:
            message = (
                f"classes without a list of labels for the split {split}, which count as absent "
                f"from its images: {', '.join(missing)}"
            )
            yield Fault(lists[labelled[0]].parent, message, tolerated=True)

    def _classes(self, annotations: dict[Path, Annotation | None]) -> tuple[str, ...]:
        """Read classes.txt, or collect the names in all splits, so that all splits agree."""
        classes_file = self.root / CLASSES_FILE
        if classes_file.is_file():
            return read_classes(classes_file)
        every = {
            image.annotation
            for images in self._lists.images.values()
            for image in images
            if leads_inside(image.image_id)
        }
        others = (
            read_annotation(path, lambda fault: None)
            for path in sorted(every - set(annotations))
            if path.is_file()
        )
        found = (*annotations.values(), *others)
        of_lists = {name for split in self._lists.images for name in self._lists.labels(split)}
        if of_lists and not any(found):
            return tuple(sorted(of_lists))
        return classes_of(found, self.root)

    def has_labels(self) -> bool:
        """Whether the lists per class of a split are labels of its images."""
        return any(self._lists.labels(split) for split in self._lists.images)

    @cached_property
    def _lists(self) -> VocLists:
        return VocLists(self.root)


def _labels(
    path: Path, lists: Mapping[str, Mapping[Path, str]], label_of: Mapping[str, int]
) -> ImageLabels | None:
    """The labels of an image in the lists per class; None if it is in none of them."""
    columns = {
        label: lists[name][path] for name, label in label_of.items() if path in lists.get(name, {})
    }
    if not columns:
        return None
    present, uncertain = (
        tuple(sorted(label for label, column in columns.items() if column == value))
        for value in ("1", "0")
    )
    return ImageLabels(present, uncertain)
