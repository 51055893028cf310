"""A plain folder of VOC annotation files with their pictures, as labelling tools leave them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from frcnn_cli.engine.datasets.layout import ALL, Fault, Report, index_images, split_of
from frcnn_cli.engine.datasets.readers.voc_xml import (
    Annotation,
    annotated_image,
    classes_of,
    read_annotation,
)
from frcnn_cli.engine.datasets.text_files import CLASSES_FILE, read_classes
from frcnn_cli.engine.records import Dataset

_XML_FOLDERS = (".", "Annotations", "annotations")
_PICTURE_FOLDERS = (".", "JPEGImages", "images", "Images", "../JPEGImages", "../images")


@dataclass(frozen=True)
class FolderLayout:
    """Annotations *.xml in the folder or in Annotations/; pictures beside them, in
    JPEGImages/ or in images/. Subfolders train, val and test are splits; without them all of
    it is the one split 'all'. Classes: classes.txt, else all that are named, sorted."""

    root: Path
    kind: str = "folder of VOC xml"

    @staticmethod
    def is_at(root: Path) -> bool:
        """Whether there are annotations at all."""
        return root.is_dir() and bool(FolderLayout(root).splits())

    def splits(self) -> dict[str, bool]:
        """Always annotated: that is what the layout is known by."""
        return dict.fromkeys(self._folders(), True)

    def read(self, split: str, name: str, report: Report) -> Dataset:
        """Images in the order of their names; a picture without annotation is left out."""
        folder = self._folders()[split]
        files = _annotation_files(folder)
        annotations = [read_annotation(path, report) for path in files]
        classes = self._classes(split, annotations)
        label_of = {class_name: label for label, class_name in enumerate(classes, start=1)}
        pictures: dict[str, Path] = {}
        for inner in reversed(_PICTURE_FOLDERS):
            pictures |= index_images(folder / inner)
        images = []
        for path, annotation in zip(files, annotations, strict=True):
            picture = pictures.get(path.stem, path.with_suffix(".jpg"))
            if path.stem not in pictures:
                report(Fault(path, "its picture is not there", missing_picture=True))
            images.append(annotated_image(path.stem, picture, annotation, label_of, report))
        for stem in sorted(set(index_images(folder)) - {path.stem for path in files}):
            report(Fault(pictures[stem], "has no annotation, left out", tolerated=True))
        return Dataset(name, split, classes, tuple(images))

    def _classes(self, split: str, annotations: list[Annotation | None]) -> tuple[str, ...]:
        """The same for every split."""
        if (self.root / CLASSES_FILE).is_file():
            return read_classes(self.root / CLASSES_FILE)
        others = (
            read_annotation(path, lambda fault: None)
            for other, folder in self._folders().items()
            if other != split
            for path in _annotation_files(folder)
        )
        return classes_of((*annotations, *others), self.root)

    def _folders(self) -> dict[str, Path]:
        """Split -> the folder that holds it."""
        named = {
            split: folder
            for folder in _subfolders(self.root)
            if (split := split_of(folder.name)) and _annotation_files(folder)
        }
        if named:
            return named
        return {ALL: self.root} if _annotation_files(self.root) else {}


def _annotation_files(folder: Path) -> list[Path]:
    """The first of the usual places that has any."""
    for inner in _XML_FOLDERS:
        if files := sorted((folder / inner).glob("*.xml")):
            return files
    return []


def _subfolders(root: Path) -> Iterator[Path]:
    return (entry for entry in sorted(root.iterdir()) if entry.is_dir())
