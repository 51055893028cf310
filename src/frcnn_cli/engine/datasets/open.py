"""Open one split of a dataset for work, with the checks that all commands share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.findings import (
    WAY_OUT,
    Finding,
    act_on,
    annotation_findings,
    without_objects,
)
from frcnn_cli.engine.datasets.image_sizes import note_sixteen_bit, read_sizes, size_findings
from frcnn_cli.engine.datasets.layout import Fault
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.errors import InputError


def open_dataset(
    name: str,
    split: str,
    data_root: Path | None = None,
    *,
    allow_mismatch: bool = False,
    needs_images: bool = True,
    reporter: Reporter = SILENT,
) -> Dataset:
    """Find and read a split (see find_dataset), check it, and report the warnings.

    The sizes of up to 200 images are compared with their annotations. allow_mismatch: skip
    faulty objects, clip boxes to their image, and continue if most sizes differ. needs_images:
    False ignores missing images and reads no headers. Raises InputError if the split is unusable.
    """
    collect = Collector(allow_mismatch, needs_images)
    dataset = find_dataset(name, split, data_root, collect)
    findings = [*collect.findings(), *without_objects(dataset)]
    if needs_images:
        findings += size_findings(dataset, read_sizes(dataset))
        note_sixteen_bit((image.path for image in dataset.images), reporter)
    act_on(findings, allow_mismatch, reporter)
    return dataset


def open_splits(
    name: str,
    splits: Sequence[str],
    data_root: Path | None = None,
    *,
    allow_mismatch: bool = False,
    reporter: Reporter = SILENT,
) -> list[Dataset]:
    """Find and read several splits, and check all their images together, each once.

    Missing images are no error here: the code that reads the files reports them. See open_dataset.
    """
    collect = Collector(allow_mismatch, needs_images=False)
    datasets = [find_dataset(name, split, data_root, collect) for split in splits]
    images = {image.path: image for data in datasets for image in data.images}
    every = replace(datasets[0], split=", ".join(splits), images=tuple(images.values()))
    findings = [
        *collect.findings(),
        *without_objects(every),
        *size_findings(every, read_sizes(every)),
    ]
    act_on(findings, allow_mismatch, reporter)
    return datasets


class Collector:
    """The Report of a reader that collects faults; raises InputError for an unusable one.

    allow_mismatch: raises nothing. needs_images: False ignores missing images.
    """

    def __init__(self, allow_mismatch: bool, needs_images: bool = True) -> None:
        self.allow_mismatch, self.needs_images = allow_mismatch, needs_images
        self.faults: dict[Fault, None] = {}  # splits overlap, and so do their faults

    def __call__(self, fault: Fault) -> None:
        if fault.missing_image and not self.needs_images:
            return
        if not (fault.tolerated or self.allow_mismatch):
            raise InputError(f"{fault}\nCorrect the file. {WAY_OUT}")
        self.faults[fault] = None

    def findings(self) -> list[Finding]:
        return annotation_findings(list(self.faults))
