"""Read a whole dataset, images included, and report the problems in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from frcnn_cli.engine.datasets.find import available_splits, find_dataset
from frcnn_cli.engine.datasets.findings import class_findings, objects_by_class, without_objects
from frcnn_cli.engine.datasets.image_sizes import note_sixteen_bit, size_findings, size_problem
from frcnn_cli.engine.datasets.layout import Fault
from frcnn_cli.engine.distributed.devices import usable_cores
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.images import decode_image, digest_of, read_image_bytes

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
        except MisuseError:
            raise
        except InputError as error:
            # A list or json is unreadable; other splits may be readable.
            faults.append(Fault(Path(name), f"split {split_name}: {error}"))
    read = _read_images(datasets, reporter)
    note_sixteen_bit(read, reporter)
    faults += _shared_images(datasets, read)
    faults += _unreadable_images(datasets, read)
    faults += _size_faults(datasets, read)
    empty = (found for data in datasets for found in without_objects(data))
    faults += [
        Fault(Path(name), str(found).removeprefix(f"{datasets[0].name} "), tolerated=True)
        for found in (*empty, *class_findings(datasets))
    ]
    summaries = tuple(_summary(dataset) for dataset in datasets)
    # Splits overlap (trainval contains train), so a fault can be reported twice.
    return CheckReport(summaries, tuple(dict.fromkeys(faults)))


def _summary(dataset: Dataset) -> SplitSummary:
    truths = [image.truth for image in dataset.images if image.truth is not None]
    return SplitSummary(
        dataset.split,
        len(dataset),
        bool(truths),
        sum(len(truth) == 0 for truth in truths),
        sum(int((truth.difficult | truth.crowd).sum()) for truth in truths),
        objects_by_class(dataset),
    )


@dataclass(frozen=True)
class _ReadImage:
    """What reading an image file showed: its digest and (width, height), or the fault."""

    digest: str = ""
    size: tuple[int, int] | None = None
    fault: Fault | None = None


def _shared_images(datasets: Iterable[Dataset], read: Mapping[Path, _ReadImage]) -> list[Fault]:
    """Images in two splits that should have none in common: the same file, or the same bytes."""
    paths = {data.split: {image.path for image in data.images} for data in datasets}
    faults = []
    for first, second in _DISJOINT_SPLITS:
        if first not in paths or second not in paths:
            continue
        digests = {_digest(read, path): path for path in sorted(paths[first], reverse=True)}
        for path in sorted(paths[second]):
            twin = digests.get(_digest(read, path))
            if path in paths[first]:
                faults.append(Fault(path, f"is in both {first} and {second}", tolerated=True))
            elif twin is not None:
                message = f"in {second} has the same bytes as {twin} in {first}"
                faults.append(Fault(path, message, tolerated=True))
    return faults


def _digest(read: Mapping[Path, _ReadImage], path: Path) -> str:
    """The digest of a file's bytes; its path if they were not read."""
    image = read.get(path)
    return str(path) if image is None or not image.digest else image.digest


def _unreadable_images(datasets: Iterable[Dataset], read: Mapping[Path, _ReadImage]) -> list[Fault]:
    """Images that cannot be decoded. All commands skip them, but a split needs one that can."""
    faults: dict[Path, Fault] = {}
    for dataset in datasets:
        images = [read[image.path] for image in dataset.images if image.path in read]
        found = [image.fault for image in images if image.fault is not None]
        tolerated = len(found) < len(images)
        for fault in found:
            if fault.path not in faults or not tolerated:
                faults[fault.path] = replace(fault, tolerated=tolerated)
    return list(faults.values())


def _size_faults(datasets: Iterable[Dataset], read: Mapping[Path, _ReadImage]) -> list[Fault]:
    """Images whose size is not the annotated one; tolerated unless most of a split are."""
    faults: dict[Path, Fault] = {}
    for dataset in datasets:
        sizes = {
            image.image_id: size
            for image in dataset.images
            if image.path in read and (size := read[image.path].size) is not None
        }
        tolerated = all(found.level == "warning" for found in size_findings(dataset, sizes))
        for image in dataset.images:
            size = sizes.get(image.image_id)
            problem = None if size is None else size_problem(image, size)
            if problem is not None and (image.path not in faults or not tolerated):
                faults[image.path] = Fault(image.path, problem, tolerated)
    return list(faults.values())


def _read_images(datasets: Iterable[Dataset], reporter: Reporter) -> dict[Path, _ReadImage]:
    """Decode each image once, in threads: the decoder releases the GIL."""
    paths = {image.path: None for data in datasets for image in data.images}
    existing = [path for path in paths if path.exists()]
    executor = ThreadPoolExecutor(usable_cores())
    try:
        futures = [executor.submit(_read_image, path) for path in existing]
        with reporter.progress("Reading", len(futures)) as advance:
            for _ in as_completed(futures):
                advance(1, "")
        return {path: future.result() for path, future in zip(existing, futures, strict=True)}
    finally:
        executor.shutdown(cancel_futures=True)


def _read_image(path: Path) -> _ReadImage:
    try:
        data = read_image_bytes(path)
        height, width = decode_image(data, path).shape[:2]
    except InputError as error:
        return _ReadImage(fault=Fault(path, str(error).removeprefix(f"{path}: ")))
    return _ReadImage(digest_of(data), (width, height))
