"""Read a whole dataset, images included, and report the problems in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from frcnn_cli.engine.datasets.find import available_splits, find_dataset
from frcnn_cli.engine.datasets.layout import Fault
from frcnn_cli.engine.distributed.devices import usable_cores
from frcnn_cli.engine.records import Dataset, ImageRecord
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import read_image

_DISJOINT_SPLITS = (("train", "val"), ("train", "test"), ("val", "test"), ("trainval", "test"))


@dataclass(frozen=True)
class SplitSummary:
    """Counts of one split.

    annotated: whether the split has annotations. background: images without objects. ignored:
    difficult and crowd objects. objects: all other objects, by class.
    """

    split: str
    images: int
    annotated: bool
    background: int
    ignored: int
    objects: dict[str, int]


@dataclass(frozen=True)
class CheckReport:
    """The result of a check. Tolerated faults do not prevent the use of the dataset."""

    splits: tuple[SplitSummary, ...]
    faults: tuple[Fault, ...]

    @property
    def sound(self) -> bool:
        """Whether every split can be used without changes."""
        return all(fault.tolerated for fault in self.faults)


def check_dataset(
    name: str,
    split: str | None = None,
    data_root: Path | None = None,
    reporter: Reporter = SILENT,
) -> CheckReport:
    """Read every annotation, decode every image, and compare their sizes.

    split: check only this one. Raises MisuseError for an unknown dataset or split.
    """
    splits = [split] if split else list(available_splits(name, data_root))
    faults: list[Fault] = []
    datasets: list[Dataset] = []
    for split_name in splits:
        try:
            datasets.append(find_dataset(name, split_name, data_root, faults.append))
        except InputError as error:
            # A list or json is unreadable; other splits may be readable.
            faults.append(Fault(Path(name), f"split {split_name}: {error}"))
    faults += _shared_images(datasets)
    faults += _image_faults(datasets, reporter)
    summaries = tuple(_summary(dataset) for dataset in datasets)
    # Splits overlap (trainval contains train), so a fault can be reported twice.
    return CheckReport(summaries, tuple(dict.fromkeys(faults)))


def _summary(dataset: Dataset) -> SplitSummary:
    truths = [image.truth for image in dataset.images if image.truth is not None]
    objects: Counter[str] = Counter(dict.fromkeys(dataset.classes, 0))
    ignored = 0
    for truth in truths:
        is_ignored = truth.difficult | truth.crowd
        ignored += int(is_ignored.sum())
        objects.update(dataset.classes[label - 1] for label in truth.labels[~is_ignored].tolist())
    return SplitSummary(
        dataset.split,
        len(dataset),
        bool(truths),
        sum(len(truth) == 0 for truth in truths),
        ignored,
        dict(objects),
    )


def _shared_images(datasets: Iterable[Dataset]) -> list[Fault]:
    """Report images that are in two splits which should be disjoint."""
    paths = {data.split: {image.path for image in data.images} for data in datasets}
    return [
        Fault(shared, f"is in both {first} and {second}", tolerated=True)
        for first, second in _DISJOINT_SPLITS
        if first in paths and second in paths
        for shared in sorted(paths[first] & paths[second])
    ]


def _image_faults(datasets: Iterable[Dataset], reporter: Reporter) -> list[Fault]:
    """Decode each image once, in threads: the decoder releases the GIL."""
    records = {image.path: image for data in datasets for image in data.images}
    existing = [record for record in records.values() if record.path.exists()]
    executor = ThreadPoolExecutor(usable_cores())
    try:
        futures = [executor.submit(_image_fault, record) for record in existing]
        with reporter.progress("Reading", len(futures)) as advance:
            for _ in as_completed(futures):
                advance(1, "")
        return [fault for future in futures if (fault := future.result()) is not None]
    finally:
        executor.shutdown(cancel_futures=True)


def _image_fault(record: ImageRecord) -> Fault | None:
    try:
        height, width = read_image(record.path).shape[:2]
    except InputError as error:
        return Fault(record.path, str(error).removeprefix(f"{record.path}: "))
    annotated = (record.width or width, record.height or height)
    if annotated != (width, height):
        return Fault(
            record.path,
            f"is {width} x {height} pixels after EXIF rotation, annotated as "
            f"{annotated[0]} x {annotated[1]}",
        )
    return None
