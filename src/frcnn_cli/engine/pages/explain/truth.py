"""The ground truth of the image to explain, from an annotation file or a dataset."""

from __future__ import annotations

from pathlib import Path

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.image_sizes import size_problem
from frcnn_cli.engine.datasets.layout import Fault, raise_on_fault
from frcnn_cli.engine.datasets.parts import EVERY
from frcnn_cli.engine.datasets.readers.voc_xml import annotated_image, read_annotation
from frcnn_cli.engine.records import Dataset, ImageRecord
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.images import image_size
from frcnn_proposals.suggestions import did_you_mean


def find_record(
    image: str,
    dataset: str,
    split: str | None = None,
    data_root: Path | None = None,
    reporter: Reporter = SILENT,
) -> tuple[Dataset, ImageRecord]:
    """The dataset, and its record of an image: a file of the dataset, or an image id.

    split: None searches all. Faulty objects of this image are skipped with a warning. Raises
    MisuseError if the dataset does not have the image, and InputError if the annotation is not
    that of the file.
    """
    faults: list[Fault] = []
    found = find_dataset(dataset, split or EVERY, data_root, faults.append)
    path = Path(image)
    if path.is_file():
        records = [each for each in found.images if each.path.resolve() == path.resolve()]
    else:
        records = [each for each in found.images if each.image_id == image]
    if not records:
        where = dataset if split is None else f"{dataset} {split}"
        hint = did_you_mean(image, [each.image_id for each in found.images])
        raise MisuseError(f"{image}: {where} has no such image. {hint}")
    record = records[0]
    for fault in faults:
        if fault.path.stem == record.path.stem and not fault.tolerated:
            reporter.warn(f"{fault}; skipped")
    return found, _checked(record)


def annotated_record(image: Path, annotation: Path, classes: tuple[str, ...]) -> ImageRecord:
    """The record of an image with the ground truth of a VOC annotation file (XML).

    Raises InputError if the file is faulty, has other classes, or is not that of the image.
    """
    read = read_annotation(annotation, raise_on_fault)
    label_of = {name: label for label, name in enumerate(classes, start=1)}
    return _checked(annotated_image(image.stem, image, read, label_of, raise_on_fault))


def _checked(record: ImageRecord) -> ImageRecord:
    problem = size_problem(record, image_size(record.path))
    if problem is not None:
        raise InputError(f"{record.path}: {problem}")
    return record
