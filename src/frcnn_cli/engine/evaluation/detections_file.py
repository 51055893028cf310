"""Read files of detections: COCO results JSON, as the toolkit writes it, or VOC devkit text."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from frcnn_cli.engine.datasets.findings import act_on
from frcnn_cli.engine.detection.results import read_coco_results
from frcnn_cli.engine.detection.rows import DetectionRows, ImageIndex
from frcnn_cli.engine.evaluation.detection_checks import detection_findings
from frcnn_cli.engine.records import Dataset, Detections
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.errors import InputError, MisuseError, reason
from frcnn_proposals.reading import read_text


def read_detections(
    path: Path, dataset: Dataset, reporter: Reporter = SILENT
) -> dict[str, Detections]:
    """Read the detections of a file for `dataset`, by image id, highest score first.

    path: a .json file of COCO results, a folder of VOC devkit text files (one per class), or
        one such file. Image ids that are not in the dataset are kept unchanged.
    reporter: receives warnings about boxes and scores that can hardly be right.

    Raises MisuseError if `path` does not exist, InputError if an entry is invalid (the message
    names it) or if no image of the file is in the dataset.
    """
    check_detections(path)
    if path.suffix.lower() == ".json":
        rows = read_coco_results(path, dataset)
    else:
        rows = read_voc_results(path, dataset)
    _check(path, rows, dataset)
    act_on(detection_findings(path, rows, dataset), True, reporter)
    return _by_image(rows)


def check_detections(path: Path) -> None:
    """Raises MisuseError if `path` does not exist or has an unsupported file type."""
    if not path.exists():
        raise MisuseError(f"{path}: this file of detections does not exist.")
    if path.suffix.lower() not in (".json", ".txt") and not path.is_dir():
        raise MisuseError(
            f"{path}: file type not supported. Expected COCO results (.json) or VOC devkit text "
            "files (.txt, or a folder of them)."
        )


def _check(path: Path, rows: DetectionRows, dataset: Dataset) -> None:
    finite = np.isfinite(rows.boxes).all(axis=1) & np.isfinite(rows.scores)
    if not finite.all():
        raise InputError(f"{path}: {rows.where(int(np.argmin(finite)))}: a number is not finite")
    inverted = (rows.boxes[:, 2:] + 1 < rows.boxes[:, :2]).any(axis=1)
    if inverted.any():
        first = rows.where(int(np.argmax(inverted)))
        raise InputError(f"{path}: {first}: its box is inverted (x2 < x1 or y2 < y1)")
    known = {image.image_id for image in dataset.images}
    if rows.image_ids and known.isdisjoint(rows.image_ids):
        raise InputError(
            f"{path}: none of its images is in {dataset.name} {dataset.split}: the file has "
            f"{rows.image_ids[0]!r}, the dataset has {dataset.images[0].image_id!r}.\n"
            "Select the split of the file with --split."
        )


def _by_image(rows: DetectionRows) -> dict[str, Detections]:
    """Group rows by image in order of appearance; sort by score, equal scores in file order."""
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
    """Read VOC devkit results from a folder of files, or from one file.

    The class of a file is its name, or the end of its name after an underscore, as in
    comp4_det_test_aeroplane.txt. A class without a file has no detections.
    Raises InputError if no file belongs to a class, two files belong to the same class, or a
    line is invalid.
    """
    index = ImageIndex({})
    ids = {image.image_id for image in dataset.images}
    images: list[int] = []
    labels: list[int] = []
    numbers: list[list[float]] = []
    positions: list[tuple[Path, int]] = []
    for label, file in _class_files(path, dataset).items():
        for line_number, line in enumerate(_lines(file), start=1):
            fields = line.split()
            if len(fields) > 6 and (whole := line.strip().rsplit(maxsplit=5))[0] in ids:
                fields = whole  # the image id contains spaces
            if not fields:
                continue
            numbers.append(_numbers(file, line_number, fields))
            images.append(index[fields[0]])
            labels.append(label)
            positions.append((file, line_number))
    values = np.array(numbers, np.float64).reshape(-1, 5)
    return DetectionRows(
        index.ids,
        np.array(images, np.int64),
        np.array(labels, np.int64),
        values[:, 0],
        values[:, 1:] - 1,
        lambda row: f"{positions[row][0].name} line {positions[row][1]}",
    )


def _class_files(path: Path, dataset: Dataset) -> dict[int, Path]:
    """The file of each label."""
    found: dict[int, Path] = {}
    for file in sorted(path.glob("*.txt")) if path.is_dir() else [path]:
        label = _label_of_name(file.stem, dataset.classes)
        if label is None:
            continue
        if label in found:
            name = dataset.classes[label - 1]
            raise InputError(
                f"{path}: {found[label].name} and {file.name} both belong to class {name}.\n"
                "Use one folder per competition."
            )
        found[label] = file
    if not found:
        raise InputError(
            f"{path}: no file name ends with a class of {dataset.name}, such as "
            f"comp4_det_test_{dataset.classes[0]}.txt"
        )
    return found


def _label_of_name(stem: str, classes: tuple[str, ...]) -> int | None:
    """The label of the longest class name that the stem equals or ends with."""
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
