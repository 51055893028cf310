"""VOC devkit results: a text file a class, lines of `image score xmin ymin xmax ymax`, 1-based."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from frcnn_cli.engine.evaluation.detection_rows import DetectionRows, ImageIndex
from frcnn_cli.engine.records import Dataset
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.reading import read_text


def read_voc_results(path: Path, dataset: Dataset) -> DetectionRows:
    """The rows of a folder's files, or of one file.

    A file belongs to the class that its name is or ends in after an underscore, as in
    comp4_det_test_aeroplane.txt. A class without a file has no detections.
    Raises InputError where no file is a class's, two are one class's, or a line is unusable.
    """
    index = ImageIndex({})
    images: list[int] = []
    labels: list[int] = []
    numbers: list[list[float]] = []
    places: list[tuple[Path, int]] = []
    for label, file in _class_files(path, dataset).items():
        for line_number, line in enumerate(_lines(file), start=1):
            fields = line.split()
            if not fields:
                continue
            numbers.append(_numbers(file, line_number, fields))
            images.append(index[fields[0]])
            labels.append(label)
            places.append((file, line_number))
    values = np.array(numbers, np.float64).reshape(-1, 5)
    return DetectionRows(
        index.ids,
        np.array(images, np.int64),
        np.array(labels, np.int64),
        values[:, 0],
        values[:, 1:] - 1,
        lambda row: f"{places[row][0].name} line {places[row][1]}",
    )


def _class_files(path: Path, dataset: Dataset) -> dict[int, Path]:
    """Label -> file."""
    found: dict[int, Path] = {}
    for file in sorted(path.glob("*.txt")) if path.is_dir() else [path]:
        label = _label_of_name(file.stem, dataset.classes)
        if label is None:
            continue
        if label in found:
            name = dataset.classes[label - 1]
            raise InputError(
                f"{path}: {found[label].name} and {file.name} are both of class {name}.\n"
                "Keep the files of one competition in a folder."
            )
        found[label] = file
    if not found:
        raise InputError(
            f"{path}: no file name ends in a class of {dataset.name}, such as "
            f"comp4_det_test_{dataset.classes[0]}.txt"
        )
    return found


def _label_of_name(stem: str, classes: tuple[str, ...]) -> int | None:
    """The label whose class name the stem is or ends in; the longest such name."""
    ending = [name for name in classes if stem == name or stem.endswith(f"_{name}")]
    return classes.index(max(ending, key=len)) + 1 if ending else None


def _lines(file: Path) -> list[str]:
    try:
        return read_text(file).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not a readable text file ({reason(error)})") from error


def _numbers(file: Path, line_number: int, fields: list[str]) -> list[float]:
    try:
        _, score, x1, y1, x2, y2 = fields
        return [float(score), float(x1), float(y1), float(x2), float(y2)]
    except ValueError as error:
        raise InputError(
            f"{file}: line {line_number}: expected `image score xmin ymin xmax ymax`"
        ) from error
