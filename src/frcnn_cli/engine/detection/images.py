"""Work on many images, such as detection, with prefetching and a journal to resume from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from frcnn_cli.engine.detection.journal import ImageJournal, Journal
from frcnn_cli.engine.detection.reduction import detect_reduced
from frcnn_cli.engine.distributed.streams import Streams
from frcnn_cli.engine.distributed.team import Team
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.proposals.source_calls import Propose
from frcnn_cli.engine.records import Detections, ImageFile, ReadFile
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import InputError, InvalidValueError
from frcnn_proposals.images import (
    MAX_PIXELS,
    ReducedImage,
    Reduction,
    decode_reduced,
    digest_of,
    read_image_bytes,
    unreduced,
)
from frcnn_proposals.sources.call import failure_message

Value = TypeVar("Value")
Computed = TypeVar("Computed")
# A function from image id, image and proposals (in its pixels) to the result for this image.
Compute = Callable[[str, ReducedImage, Proposals], Computed]


@dataclass(frozen=True)
class FileResult(Generic[Value]):
    """One image file with its result, such as detections, or the error that prevented it.

    image: its pixels; None after an error, if the result comes from the journal, or if the image
    was decoded at a reduced size. file: what reading it showed. clipped: number of proposals that
    reached outside the image.
    """

    image_id: str
    path: Path
    image: Image | None = None
    found: Value | None = None
    error: str | None = None
    file: ReadFile | None = None
    clipped: int = 0


@dataclass(frozen=True)
class ImageResults(Generic[Value]):
    """Results by image id, in the order of the files, and a message for each failed image.

    files: what reading the image files showed, by image id. clipped: number of proposals that
    reached outside their images.
    """

    found: dict[str, Value]
    failures: tuple[str, ...]
    files: dict[str, ReadFile] = field(default_factory=dict)
    clipped: int = 0


DetectedFile = FileResult[Detections]
ImageDetections = ImageResults[Detections]


def collect_results(
    results: Iterable[FileResult[Value]],
    on_result: Callable[[FileResult[Value]], None],
) -> ImageResults[Value]:
    """Consume all results; `on_result` is called after each image."""
    found: dict[str, Value] = {}
    files: dict[str, ReadFile] = {}
    failures, clipped = [], 0
    for result in results:
        if result.found is None:
            failures.append(str(result.error))
        else:
            found[result.image_id] = result.found
            if result.file is not None:
                files[result.image_id] = result.file
        clipped += result.clipped
        on_result(result)
    return ImageResults(found, tuple(failures), files, clipped)


def gather_results(
    team: Team, own: ImageResults[Value], image_ids: Iterable[str]
) -> ImageResults[Value]:
    """Return the results of all processes, in every process. image_ids: all images, in order."""
    if team.world == 1:
        return own
    parts = team.gather(own)
    of_image = {image_id: part for part in parts for image_id in part.found}
    known = {image_id: of_image[image_id] for image_id in image_ids if image_id in of_image}
    found = {image_id: part.found[image_id] for image_id, part in known.items()}
    files = {i: part.files[i] for i, part in known.items() if i in part.files}
    failures = tuple(message for part in parts for message in part.failures)
    return ImageResults(found, failures, files, sum(part.clipped for part in parts))


def detect_files(
    model: FastRCNN,
    files: Iterable[ImageFile],
    propose: Propose,
    settings: DetectSettings,
    journal: Journal | None = None,
    max_pixels: int = MAX_PIXELS,
    reduction: Reduction = unreduced,
) -> Iterator[DetectedFile]:
    """Detections in each of `files` (image id, path), in their order: see process_files."""

    def detect(_: str, image: ReducedImage, proposals: Proposals) -> Detections:
        return detect_reduced(model, image, proposals, settings)

    def store(_: str, found: Detections) -> Detections:
        return found

    streams = Streams.of(model.offset_means.device)
    return process_files(detect, store, files, propose, streams, journal, max_pixels, reduction)


def process_files(
    compute: Compute[Computed],
    store: Callable[[str, Computed], Value],
    files: Iterable[ImageFile],
    propose: Propose,
    streams: Streams,
    journal: ImageJournal[Value] | None = None,
    max_pixels: int = MAX_PIXELS,
    reduction: Reduction = unreduced,
    threads: int | None = None,
) -> Iterator[FileResult[Value]]:
    """The result of `store` for each of `files` (image id, path), in their order.

    Threads decode images and call `propose`, a few images ahead of `compute`, which is called in
    `streams`. This thread calls `store` with what `compute` returns, one image after the other. An
    image that fails does not stop the others. journal: results of unchanged files are taken from
    it, new ones are added as each image finishes. Images with more than `max_pixels` fail.
    reduction: the size at which to decode JPEG files. `propose` and `compute` then get fewer
    pixels, and proposals are in these pixels. threads: number of threads that decode and call
    `propose`; None is one per core.
    """
    prepare = partial(_prepare, propose, journal, max_pixels, reduction)

    def computed(task: _Task[Value]) -> tuple[_Task[Value], Computed | None]:
        if task.image is None:
            return task, None
        assert task.proposals is not None
        try:
            return task, compute(task.result.image_id, task.image, task.proposals)
        except InvalidValueError:  # a fault of the program
            raise
        except InputError as error:
            return _Task(replace(task.result, error=str(error))), None

    def finished(outcome: tuple[_Task[Value], Computed | None]) -> FileResult[Value]:
        task, values = outcome
        result = task.result
        if task.image is None or values is None:
            return result
        assert task.proposals is not None
        try:
            found = store(result.image_id, values)
        except InvalidValueError:  # a fault of the program
            raise
        except InputError as error:
            return replace(result, error=str(error))
        if journal is not None:
            assert result.file is not None
            journal.add(result.image_id, result.file.digest, found)
        pixels = task.image.pixels if task.image.factor == 1 else None
        return replace(result, image=pixels, found=found, clipped=task.proposals.clipped)

    # No variable holds an image while the next one is computed.
    yield from map(finished, streams.pipeline(prepare, computed, files, threads))


@dataclass(frozen=True)
class _Task(Generic[Value]):
    """An image ready for the network, or one that does not need it (stored, or failed)."""

    result: FileResult[Value]
    image: ReducedImage | None = None
    proposals: Proposals | None = None


def _prepare(
    propose: Propose,
    journal: ImageJournal[Value] | None,
    max_pixels: int,
    reduction: Reduction,
    file: ImageFile,
) -> _Task[Value]:
    """Prepare an image for the network, in any thread."""
    image_id, path = file[0], Path(file[1])
    result = FileResult[Value](image_id, path)
    try:
        data = read_image_bytes(path)
        digest = digest_of(data)
        known = None if journal is None else journal.known(image_id, digest)
        if known is not None:
            return _Task(replace(result, found=known, file=ReadFile(digest)))
        image = decode_reduced(data, path, max_pixels, reduction)
        read = ReadFile(digest, (image.width, image.height))
        return _Task(replace(result, file=read), image, propose(image_id, image.pixels))
    except Exception as error:
        return _Task(replace(result, error=failure_message(str(path), error)))
