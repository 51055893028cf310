"""The image to explain, and its ground truth from an annotation file or a dataset.

Nothing here imports torch, so that a wrong name is an error at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.image_sizes import note_sixteen_bit, size_problem
from frcnn_cli.engine.datasets.layout import Fault, raise_on_fault
from frcnn_cli.engine.datasets.readers.voc_xml import annotated_image, read_annotation
from frcnn_cli.engine.datasets.split_parts import EVERY
from frcnn_cli.engine.records import Dataset, ImageRecord
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.images import image_size
from frcnn_proposals.suggestions import did_you_mean

if TYPE_CHECKING:
    from frcnn_cli.engine.models.loaded import LoadedModel


@dataclass(frozen=True)
class ImageChoice:
    """The names of an image and its ground truth. Raises MisuseError if they contradict each other.

    image: a file, or with a dataset also an image id. truth: an annotation in VOC's format (XML).
    dataset: one that has the image. split: None searches all of them.
    """

    image: str
    truth: Path | None = None
    dataset: str | None = None
    split: str | None = None
    data_root: Path | None = None

    def __post_init__(self) -> None:
        if self.truth is not None and self.dataset is not None:
            raise MisuseError("Ground truth comes from an annotation or a dataset: give only one.")
        if self.dataset is None and (self.split is not None or self.data_root is not None):
            raise MisuseError("A split or a data root has no effect without a dataset.")

    def find(self, reporter: Reporter = SILENT) -> ChosenImage:
        """Find the image and its dataset.

        Raises InputError if a file cannot be read or is not the annotated one, and MisuseError if
        the dataset does not have the image.
        """
        if self.dataset is not None:
            dataset, record = self._in_dataset(self.dataset, reporter)
            if record.truth is None:
                reporter.warn(f"{self.dataset} has no boxes for {record.image_id}.")
            return ChosenImage(_checked(record), dataset)
        path = Path(self.image)
        record = _checked(ImageRecord(path.stem, path))
        if self.truth is not None and not self.truth.is_file():
            raise MisuseError(f"{self.truth}: this annotation does not exist.")
        note_sixteen_bit([path], reporter)
        return ChosenImage(record, annotation=self.truth)

    def _in_dataset(self, name: str, reporter: Reporter) -> tuple[Dataset, ImageRecord]:
        """The record of the image; its faulty objects are skipped with a warning."""
        faults: list[Fault] = []
        dataset = find_dataset(name, self.split or EVERY, self.data_root, faults.append)
        path = Path(self.image)
        if path.is_file():
            records = [each for each in dataset.images if each.path.resolve() == path.resolve()]
        else:
            records = [each for each in dataset.images if each.image_id == self.image]
        if not records:
            hint = did_you_mean(self.image, [each.image_id for each in dataset.images])
            where = name if self.split is None else f"{name} {self.split}"
            raise MisuseError(f"{self.image}: {where} has no such image. {hint}")
        record = records[0]
        for fault in faults:
            if fault.path.stem == record.path.stem and not fault.tolerated:
                reporter.warn(f"{fault}; skipped")
        return dataset, record


@dataclass(frozen=True)
class ChosenImage:
    """An image, with the dataset or the annotation file that has its ground truth."""

    record: ImageRecord
    dataset: Dataset | None = None
    annotation: Path | None = None

    def record_for(self, loaded: LoadedModel) -> ImageRecord:
        """The record with the ground truth in labels of a model.

        Raises MisuseError if the classes of the dataset are not those of the model, and InputError
        for an annotation that is faulty, has other classes, or is not that of the image.
        """
        from frcnn_cli.engine.evaluation.images import check_classes

        if self.dataset is not None:
            check_classes(loaded, self.dataset)
        if self.annotation is None:
            return self.record
        read = read_annotation(self.annotation, raise_on_fault)
        label_of = {name: label for label, name in enumerate(loaded.classes, start=1)}
        image_id, path = self.record.image_id, self.record.path
        return _checked(annotated_image(image_id, path, read, label_of, raise_on_fault))


def _checked(record: ImageRecord) -> ImageRecord:
    """The record. Raises InputError if the image is unreadable, or not the annotated one."""
    problem = size_problem(record, image_size(record.path))
    if problem is not None:
        raise InputError(f"{record.path}: {problem}")
    return record
