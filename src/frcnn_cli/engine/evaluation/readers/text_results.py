"""Detections in text files: one per class, as of the VOC devkit, or one per image."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from frcnn_cli.engine.evaluation.readers.rows import DetectionRows, image_indices, match_images
from frcnn_cli.engine.records import Dataset, ImageRecord
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.folders import files_below
from frcnn_proposals.images import image_size
from frcnn_proposals.reading import text_lines


@dataclass
class _Rows:
    """The rows read so far, in arrays: files can have millions.

    names: the different images, with their place. image: the place of each row's image. numbers:
    score, x1, y1, x2, y2 of each row. lines: the line of each row in its file. files: the first
    row of each file, and the file.
    """

    names: dict[str, int] = field(default_factory=dict)
    image: array[int] = field(default_factory=lambda: array("i"))
    labels: array[int] = field(default_factory=lambda: array("i"))
    numbers: array[float] = field(default_factory=lambda: array("d"))
    lines: array[int] = field(default_factory=lambda: array("l"))
    files: list[tuple[int, Path]] = field(default_factory=list)

    def lines_of(self, file: Path) -> Iterator[tuple[int, str]]:
        """The numbers and texts of a file's lines that are not empty; its rows are added next."""
        self.files.append((len(self.lines), file))
        try:
            for number, line in enumerate(text_lines(file), start=1):
                if stripped := line.strip():
                    yield number, stripped
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{file}: not a readable text file ({reason(error)})") from error

    def add(self, name: str, label: int, numbers: Iterable[float], line: int) -> None:
        self.image.append(self.names.setdefault(name, len(self.names)))
        self.labels.append(label)
        self.numbers.extend(numbers)
        self.lines.append(line)

    def where(self, row: int) -> str:
        """The file and line of a row."""
        _, file = self.files[bisect_right(self.files, row, key=lambda start: start[0]) - 1]
        return f"{file.name} line {self.lines[row]}"


def read_text_results(path: Path, dataset: Dataset, reporter: Reporter = SILENT) -> DetectionRows:
    """Read text files of one kind from a folder, or one file.

    One per class: its name is the class, or ends with it after an underscore, as in
    comp4_det_test_aeroplane.txt. A line is `image score xmin ymin xmax ymax`, 1-based. A class
    without a file has no detections.
    One per image: its name is that of the image (see match_images). A line is `class score x1 y1
    x2 y2` with the class's name, in pixels from 0; or `class x y width height score`, as
    `frcnn detect --yolo` writes it: the class counted from 0, centre and size as fractions.

    Raises InputError if no file belongs to a class or image, two files belong to the same one,
    or a line is invalid.
    """
    classes, images = _class_files(path, dataset), _image_files(path, dataset)
    if images.keys() - classes.keys() and not classes.keys() - images.keys():
        rows = _image_rows(images, dataset)
    elif classes:
        rows = _class_rows(path, classes, dataset)
    else:
        raise InputError(
            f"{path}: no file name ends with a class of {dataset.name}, such as "
            f"comp4_det_test_{dataset.classes[0]}.txt, and none is that of an image, such as "
            f"{dataset.images[0].image_id if dataset.images else 'IMAGE'}.txt"
        )
    names = rows.names
    image_ids, places = image_indices(names, match_images(path, names, dataset, reporter))
    values = np.frombuffer(rows.numbers).reshape(-1, 5)
    return DetectionRows(
        image_ids,
        places[np.frombuffer(rows.image, np.int32)],
        np.frombuffer(rows.labels, np.int32).astype(np.int64),
        values[:, 0],
        values[:, 1:],
        rows.where,
    )


def _class_rows(path: Path, files: Mapping[Path, int], dataset: Dataset) -> _Rows:
    """The rows of files with one class each."""
    _check_labels(path, files, dataset)
    ids = {image.image_id for image in dataset.images}
    rows = _Rows()
    for file, label in files.items():
        for number, line in rows.lines_of(file):
            fields = line.split()
            if len(fields) > 6 and (whole := line.rsplit(maxsplit=5))[0] in ids:
                fields = whole  # the image id contains spaces
            numbers = _numbers(fields[1:], 5)
            if numbers is None:
                expected = "`image score xmin ymin xmax ymax`"
                raise InputError(f"{file}: line {number}: expected {expected}")
            score, *corners = numbers
            rows.add(fields[0], label, (score, *(corner - 1 for corner in corners)), number)
    return rows


def _check_labels(path: Path, files: Mapping[Path, int], dataset: Dataset) -> None:
    file_of: dict[int, Path] = {}
    for file, label in files.items():
        if file_of.setdefault(label, file) != file:
            raise InputError(
                f"{path}: {file_of[label].name} and {file.name} both belong to class "
                f"{dataset.classes[label - 1]}.\nUse one folder per competition."
            )


def _class_files(path: Path, dataset: Dataset) -> dict[Path, int]:
    """The files that are named after a class, with its label."""
    files = [file for file in _text_files(path) if file.parent == path or file == path]
    labels = ((file, _label_of_name(file.stem, dataset.classes)) for file in files)
    return {file: label for file, label in labels if label is not None}


def _image_files(path: Path, dataset: Dataset) -> dict[Path, ImageRecord]:
    """The files that are named after an image, with this image."""
    root = path if path.is_dir() else path.parent
    names = {file.relative_to(root).with_suffix("").as_posix(): file for file in _text_files(path)}
    records = {image.image_id: image for image in dataset.images}
    matched = match_images(path, names, dataset)
    return {
        file: records[matched[name]] for name, file in names.items() if matched[name] in records
    }


def _text_files(path: Path) -> list[Path]:
    """The file, or the text files in a folder and its subfolders (see files_below)."""
    if not path.is_dir():
        return [path]
    return [file for file in sorted(map(Path, files_below(path))) if file.suffix.lower() == ".txt"]


def _image_rows(files: Mapping[Path, ImageRecord], dataset: Dataset) -> _Rows:
    """The rows of files with one image each."""
    label_of = {name: label for label, name in enumerate(dataset.classes, start=1)}
    numbers_of_classes = {str(label - 1) for label in label_of.values()}
    rows = _Rows()
    for file, record in files.items():
        for number, line in rows.lines_of(file):
            name, *fields = line.rsplit(maxsplit=5)
            numbers = _numbers(fields, 5)
            if numbers is not None and name in label_of:
                rows.add(record.image_id, label_of[name], numbers, number)
            elif numbers is not None and name in numbers_of_classes:
                *fractions, score = numbers
                corners = _corners(fractions, _size(record))
                rows.add(record.image_id, int(name) + 1, (score, *corners), number)
            else:
                raise InputError(
                    f"{file}: line {number}: expected `class score x1 y1 x2 y2` with the name of a "
                    "class, or `class x y width height score` with its number, "
                    f"0..{len(label_of) - 1}"
                )
    return rows


def _size(record: ImageRecord) -> tuple[int, int]:
    """Width and height of an image: as annotated, or else from its file."""
    if record.width and record.height:
        return record.width, record.height
    return image_size(record.path)


def _corners(fractions: list[float], size: tuple[int, int]) -> list[float]:
    """Inclusive corners of a box given by its centre and size as fractions of the image."""
    x, y, width, height = fractions
    columns, rows = size
    left, top = (x - width / 2) * columns, (y - height / 2) * rows
    return [left, top, left + width * columns - 1, top + height * rows - 1]


def _label_of_name(stem: str, classes: tuple[str, ...]) -> int | None:
    """The label of the longest class name that the stem equals or ends with."""
    ending = [name for name in classes if stem == name or stem.endswith(f"_{name}")]
    return classes.index(max(ending, key=len)) + 1 if ending else None


def _numbers(fields: list[str], count: int) -> list[float] | None:
    """The fields as numbers; None unless there are `count` of them."""
    try:
        return [float(field) for field in fields] if len(fields) == count else None
    except ValueError:
        return None
