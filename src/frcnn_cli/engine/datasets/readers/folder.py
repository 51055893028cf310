"""A plain folder of VOC annotation files and images, as labelling tools write it."""

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
_IMAGE_FOLDERS = (".", "JPEGImages", "images", "Images", "../JPEGImages", "../images")


@dataclass(frozen=True)
class FolderLayout:
    """Annotations *.xml in the folder or in Annotations/; images next to them, in JPEGImages/ or
    in images/.

    Subfolders train, val and test are splits; without them, all images are the split 'all'. The
    classes are those in classes.txt; without that file, all names in the annotations, sorted.
    """

    root: Path
    kind: str = "folder of VOC xml"

    @staticmethod
    def is_at(root: Path) -> bool:
        """Whether the folder contains annotations."""
        return root.is_dir() and bool(FolderLayout(root).splits())

    def splits(self) -> dict[str, bool]:
        """Map the splits to True: a split of this layout always has annotations."""
        return dict.fromkeys(self._folders(), True)

    def read(self, split: str, name: str, report: Report) -> Dataset:
        """Read the split: images in order of name; images without annotation are skipped."""
        folder = self._folders()[split]
        files = _annotation_files(folder)
        annotations = [read_annotation(path, report) for path in files]
        classes = self._classes(split, annotations)
        label_of = {class_name: label for label, class_name in enumerate(classes, start=1)}
        image_files: dict[str, Path] = {}
        for inner in reversed(_IMAGE_FOLDERS):
            image_files |= index_images(folder / inner)
        images = []
        for path, annotation in zip(files, annotations, strict=True):
            image_path = image_files.get(path.stem, path.with_suffix(".jpg"))
            if path.stem not in image_files:
                report(Fault(path, "its image is missing", missing_image=True))
            images.append(annotated_image(path.stem, image_path, annotation, label_of, report))
        for stem in sorted(set(index_images(folder)) - {path.stem for path in files}):
            report(Fault(image_files[stem], "has no annotation, skipped", tolerated=True))
        return Dataset(name, split, classes, tuple(images))

    def _classes(self, split: str, annotations: list[Annotation | None]) -> tuple[str, ...]:
        """The class names, the same for every split."""
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
        """Map splits to their folders."""
        split_folders = {
            split: folder
            for folder in _subfolders(self.root)
            if (split := split_of(folder.name)) and _annotation_files(folder)
        }
        if split_folders:
            return split_folders
        return {ALL: self.root} if _annotation_files(self.root) else {}


def _annotation_files(folder: Path) -> list[Path]:
    """Return the annotation files in the first of the usual folders that has any."""
    for inner in _XML_FOLDERS:
        if files := sorted((folder / inner).glob("*.xml")):
            return files
    return []


def _subfolders(root: Path) -> Iterator[Path]:
    return (entry for entry in sorted(root.iterdir()) if entry.is_dir())
