"""Anybody's detections: COCO results json (the toolkit's own is one) or VOC devkit text files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from frcnn_cli.engine.detection.results import read_coco_results
from frcnn_cli.engine.detection.rows import DetectionRows, ImageIndex
from frcnn_cli.engine.records import Dataset, Detections
from frcnn_proposals.errors import InputError, MisuseError, reason
from frcnn_proposals.reading import read_text


def read_detections(path: Path, dataset: Dataset) -> dict[str, Detections]:
    """Detections by image id, highest score first, of a file made for `dataset`.

    path: a .json file in COCO results style, a folder of VOC devkit text files (one a class),
        or one such file. Ids that the dataset does not have are kept unchanged.

    Raises MisuseError where there is nothing at `path`, InputError where an entry cannot be
    used (it is named) or where no image of the file is in the dataset.
    """
    check_detections(path)
    if path.suffix.lower() == ".json":
        rows = read_coco_results(path, dataset)
    else:
        rows = read_voc_results(path, dataset)
    _check(path, rows, dataset)
    return _by_image(rows)


def check_detections(path: Path) -> None:
    """Raises MisuseError where `path` does not exist or cannot hold detections."""
    if not path.exists():
        raise MisuseError(f"There is no detections file {path}.")
    if path.suffix.lower() not in (".json", ".txt") and not path.is_dir():
        raise MisuseError(
            f"{path}: detections are read from COCO results (.json) or VOC devkit text files "
            "(.txt, or a folder of them)."
        )


def _check(path: Path, rows: DetectionRows, dataset: Dataset) -> None:
    finite = np.isfinite(rows.boxes).all(axis=1) & np.isfinite(rows.scores)
    if not finite.all():
        raise InputError(f"{path}: {rows.where(int(np.argmin(finite)))}: a number is not finite")
    inverted = (rows.boxes[:, 2:] + 1 < rows.boxes[:, :2]).any(axis=1)
    if inverted.any():
        first = rows.where(int(np.argmax(inverted)))
        raise InputError(f"{path}: {first}: its box is turned inside out")
    known = {image.image_id for image in dataset.images}
    if rows.image_ids and known.isdisjoint(rows.image_ids):
        raise InputError(
            f"{path}: none of its images is in {dataset.name} {dataset.split}: it has "
            f"{rows.image_ids[0]!r}, the dataset {dataset.images[0].image_id!r}.\n"
            "Name the split that it was made for with --split."
        )


def _by_image(rows: DetectionRows) -> dict[str, Detections]:
    """Grouped by image in order of appearance, sorted by score; equal scores keep their order."""
    order = np.lexsort((-rows.scores, rows.image))
    starts = np.searchsorted(rows.image[order], np.arange(len(rows.image_ids) + 1))
    boxes = rows.boxes[order].astype(np.float32)
    scores = rows.scores[order].astype(np.float32)
    labels = rows.labels[order]
    return {
        name: Detections(boxes[first:last], scores[first:last], labels[first:last])
        for name, first, last in zip(rows.image_ids, starts[:-1], starts[1:], strict=True)
    }


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
