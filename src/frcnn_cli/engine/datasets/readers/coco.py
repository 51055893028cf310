"""The COCO layout: per split, a json file with images, annotations and categories."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from frcnn_cli.engine.datasets.layout import ALL, Fault, Report, split_of
from frcnn_cli.engine.datasets.listing import Listed, ids_across_splits, is_visible
from frcnn_cli.engine.datasets.readers.coco_json import (
    collector_paused,
    file_names,
    lists_no_images,
    load_json,
)
from frcnn_cli.engine.datasets.readers.coco_records import (
    CocoDataset,
    CocoImage,
    annotations_by_image,
    categories_of,
    distinct_images,
    numbers_of,
)
from frcnn_cli.engine.datasets.readers.coco_truth import object_truths
from frcnn_cli.engine.records import ImageRecord
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.image_ids import longer_where_repeated
from frcnn_proposals.reading import open_file
from frcnn_proposals.wording import counted

_OF_LABEL_STUDIO = "result.json"
_IN_SPLIT_FOLDER = "_annotations.coco.json"
_SPLIT_FOLDERS = ("train", "valid", "val", "test")
# The official folder also contains captions and keypoints, which are not detection datasets.
_PATTERNS = (
    "annotations/instances_*.json",
    "annotations/*.json",
    *(f"{folder}/{_IN_SPLIT_FOLDER}" for folder in _SPLIT_FOLDERS),
    "instances_*.json",
    "*.coco.json",
    _OF_LABEL_STUDIO,
)
# A file of detections can have the name of Label Studio's file too.
_START = re.compile(rb'\s*\{\s*"(images|categories|info)"')


@dataclass(frozen=True)
class CocoLayout:
    """A COCO json, or a folder of them.

    Images are searched in the folder with the name of the split (train2017), in images/, and
    next to the json.
    """

    root: Path
    kind: str = "COCO json"

    @staticmethod
    def is_at(root: Path) -> bool:
        """Whether the path is a json file, or a folder with json files in the usual places."""
        if root.is_file():
            return root.suffix.lower() == ".json"
        return any(_is_dataset(path) for pattern in _PATTERNS for path in root.glob(pattern))

    def splits(self) -> dict[str, bool]:
        """Splits by file name: instances_val2017.json is val; a name without a split is 'all'."""
        # The official files of images without annotations are called image_info_*.
        return {split: "image_info" not in path.name for split, path in self._files.items()}

    def images(self, split: str) -> list[Listed]:
        return self._listed[split]

    def omitted(self) -> dict[str, Fault]:
        return {
            split: Fault(path, f"lists no images: the split {split} is omitted", tolerated=True)
            for split, path in self._all_files.items()
            if split not in self._files
        }

    @collector_paused()
    def read(self, split: str, name: str, report: Report) -> CocoDataset:
        """Read the split: images in the order of the file, classes in order of category id."""
        path = self._files[split]
        content = load_json(path)
        categories, classes = categories_of(path, content)
        label_of = {category: label for label, category in enumerate(categories, start=1)}
        annotations = annotations_by_image(path, content, report)
        root = self._folder(path)
        every = [CocoImage.read(path, root, entry) for entry in content["images"]]
        entries = distinct_images(path, every, annotations, report)
        listed = self._with_ids({split: [image.file_name for image in entries]})[split]
        truths = object_truths(path, entries, annotations or {}, label_of, report)
        images: list[ImageRecord] = []
        for image, (image_id, image_path) in zip(entries, listed, strict=True):
            if not image_path.is_file():
                report(Fault(path, f"lists {image_path}, which is missing", missing_image=True))
            truth = None if annotations is None else next(truths)
            images.append(ImageRecord(image_id, image_path, image.width, image.height, truth))
        for number, strays in (annotations or {}).items():
            annotation = counted(len(strays), "annotation")
            report(Fault(path, f"{annotation} of image {number}, which is not listed"))
        numbers = numbers_of([image.number for image in entries])
        image_numbers = {
            image_id: number for (image_id, _), number in zip(listed, numbers, strict=True)
        }
        class_numbers = tuple(numbers_of(categories))
        return CocoDataset(name, split, classes, tuple(images), image_numbers, class_numbers)

    @cached_property
    def _listed(self) -> dict[str, list[Listed]]:
        return self._with_ids({})

    def _with_ids(self, known: Mapping[str, list[str]]) -> dict[str, list[Listed]]:
        """The images of all splits. known: file names of splits that were read already."""
        splits = {}
        for split, path in self._files.items():
            names = known[split] if split in known else self._file_names(split)
            folder = self._image_folder(path, names)
            stems = {name: Path(name).with_suffix("").as_posix() for name in names}
            ids = longer_where_repeated(stems, lambda name: name)
            splits[split] = [(ids[name], folder / name) for name in names]
        return ids_across_splits(self.root, splits)

    def _file_names(self, split: str) -> list[str]:
        """The names of a split's images; its JSON file is read once: it can be gigabytes."""
        if split not in self._names:
            path = self._files[split]
            self._names[split] = file_names(path, self._folder(path))
        return self._names[split]

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        return {}

    def _folder(self, path: Path) -> Path:
        """Return the folder of the dataset, which contains the json and all images."""
        if self.root.is_dir():
            return self.root
        inner = path.parent.name.lower()
        return path.parent.parent if inner in ("annotations", *_SPLIT_FOLDERS) else path.parent

    @cached_property
    def _files(self) -> dict[str, Path]:
        """Map splits to json files, without files that list no images, if others do."""
        files = self._all_files
        return {s: path for s, path in files.items() if not lists_no_images(path)} or files

    @cached_property
    def _all_files(self) -> dict[str, Path]:
        """Map splits to json files. Raises MisuseError if two files belong to one split."""
        if self.root.is_file():
            return {_split_of_file(self.root): self.root}
        found: list[Path] = []
        for pattern in _PATTERNS:
            # One export has a json in each split folder: collect all of them.
            if not found or "/_annotations" in pattern:
                found += filter(_is_dataset, sorted(self.root.glob(pattern)))
        files: dict[str, Path] = {}
        for path in found:
            split = _split_of_file(path)
            if split in files:
                raise MisuseError(
                    f"{self.root}: {files[split].name} and {path.name} are both {split}.\n"
                    "Use the path of the json file as the dataset."
                )
            files[split] = path
        return files

    def _image_folder(self, path: Path, names: Sequence[str]) -> Path:
        """Return the first usual folder that contains the first image of the json."""
        stem = re.sub(r"^(instances|image_info|annotations)_", "", path.stem)
        parents = (path.parent, path.parent.parent)
        candidates = [
            parent / inner
            for parent in parents
            for inner in (stem, f"images/{stem}", "images", "JPEGImages", ".")
        ]
        for folder in candidates if names else ():
            if (folder / names[0]).is_file():
                return folder
        return parents[1] / stem if path.parent.name.lower() == "annotations" else path.parent


def _is_dataset(path: Path) -> bool:
    if path.name != _OF_LABEL_STUDIO:
        return is_visible(path)
    try:
        with open_file(path) as file:
            return _START.match(file.read(200).removeprefix(BOM_UTF8)) is not None
    except OSError:
        return False


def _split_of_file(path: Path) -> str:
    if path.name == _IN_SPLIT_FOLDER:
        return split_of(path.parent.name) or ALL
    return split_of(re.split(r"[_-]", path.stem)[-1]) or split_of(path.stem) or ALL
