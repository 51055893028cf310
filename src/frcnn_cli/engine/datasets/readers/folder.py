"""A plain folder of VOC annotation files and images, as labelling tools write it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from frcnn_cli.engine.datasets.layout import ALL, Fault, Report, folder_of_split, split_folders
from frcnn_cli.engine.datasets.listing import (
    Listed,
    ids_across_splits,
    index_files,
    is_visible,
    skipped_files,
)
from frcnn_cli.engine.datasets.readers.voc_xml import (
    Annotation,
    annotated_image,
    classes_of,
    read_annotation,
)
from frcnn_cli.engine.datasets.text_files import CLASSES_FILE, read_classes
from frcnn_cli.engine.records import Dataset
from frcnn_proposals.images import SUFFIXES

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
        return root.is_dir() and bool(
            _annotation_files(root) or split_folders(root, _has_annotations)
        )

    def splits(self) -> dict[str, bool]:
        """Map the splits to True: a split of this layout always has annotations."""
        return dict.fromkeys(self._folders(), True)

    def images(self, split: str) -> list[Listed]:
        return self._listed[split]

    def omitted(self) -> dict[str, Fault]:
        return {}  # a folder without annotations is not a split

    def read(self, split: str, name: str, report: Report) -> Dataset:
        """Read the split: images in order of name; images without annotation are skipped."""
        folder = self._folders()[split]
        files = _annotation_files(folder)
        annotations = [read_annotation(path, report) for path in files]
        classes = self._classes(split, annotations)
        label_of = {class_name: label for label, class_name in enumerate(classes, start=1)}
        images = []
        for path, annotation, (image_id, image_path) in zip(
            files, annotations, self._listed[split], strict=True
        ):
            if not image_path.is_file():
                report(Fault(path, "its image is missing", missing_image=True))
            images.append(annotated_image(image_id, image_path, annotation, label_of, report))
        self._report_skipped(folder, {path.stem for path in files}, report)
        return Dataset(name, split, classes, tuple(images))

    @cached_property
    def _listed(self) -> dict[str, list[Listed]]:
        """Ids and image files of each split, in the order of the annotation files."""
        splits = {}
        for split, folder in self._folders().items():
            found = _image_files(folder)
            splits[split] = [
                (path.stem, [path.with_suffix(".jpg"), *found.get(path.stem, ())][-1])
                for path in _annotation_files(folder)
            ]
        return ids_across_splits(self.root, splits)

    def _report_skipped(self, folder: Path, stems: set[str], report: Report) -> None:
        """Report images without annotation, second images of a name, and files of other kinds."""
        for stem, paths in _image_files(folder).items():
            if stem not in stems:
                for path in paths if paths[-1].parent == folder else ():
                    report(Fault(path, "has no annotation, skipped", tolerated=True))
            elif len(paths) > 1:
                others = ", ".join(path.name for path in paths[:-1])
                message = f"is used with {stem}.xml, and not {others}"
                report(Fault(paths[-1], message, tolerated=True))
        for inner in {path.parent for paths in _image_files(folder).values() for path in paths}:
            files = filter(Path.is_file, filter(is_visible, sorted(inner.iterdir())))
            if skipped := skipped_files(inner, files):
                report(Fault(inner, skipped, tolerated=True))

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
        """Map splits to their folders. Raises InputError if two folders are one split."""
        found = folder_of_split(self.root, _has_annotations)
        return found or ({ALL: self.root} if _has_annotations(self.root) else {})


def _annotation_files(folder: Path) -> list[Path]:
    """Return the annotation files in the first of the usual folders that has any."""
    for inner in _XML_FOLDERS:
        if index := index_files(folder / inner, (".xml",)):
            return [paths[-1] for _, paths in sorted(index.items())]
    return []


def _image_files(folder: Path) -> dict[str, list[Path]]:
    """Map names to image files, which are in the first of the usual folders that has any."""
    files: dict[str, list[Path]] = {}
    for inner in reversed(_IMAGE_FOLDERS):
        files |= index_files(folder / inner, SUFFIXES)
    return files


def _has_annotations(folder: Path) -> bool:
    return bool(_annotation_files(folder))
