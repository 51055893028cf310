"""Detection in many images, with prefetching and a journal to resume from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from frcnn_cli.engine.detection.image import detect_image
from frcnn_cli.engine.detection.journal import Journal
from frcnn_cli.engine.detection.prefetch import prefetch
from frcnn_cli.engine.distributed.devices import usable_cores
from frcnn_cli.engine.distributed.team import Team
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.proposals.run import ImageFile
from frcnn_cli.engine.proposals.source_calls import Propose
from frcnn_cli.engine.records import Detections, ReadFile
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import MAX_PIXELS, decode_image, digest_of, read_image_bytes
from frcnn_proposals.sources.call import failure_message


@dataclass(frozen=True)
class DetectedFile:
    """One image file with its detections, or the error that prevented detection.

    image: its pixels; None after an error, or if the detections come from the journal. file: what
    reading it showed. clipped: number of proposals that reached outside the image.
    """

    image_id: str
    path: Path
    image: Image | None = None
    detections: Detections | None = None
    error: str | None = None
    file: ReadFile | None = None
    clipped: int = 0


@dataclass(frozen=True)
class ImageDetections:
    """Detections by image id, in the order of the files, and a message for each failed image.

    files: what reading the image files showed, by image id. clipped: number of proposals that
    reached outside their images.
    """

    detections: dict[str, Detections]
    failures: tuple[str, ...]
    files: dict[str, ReadFile] = field(default_factory=dict)
    clipped: int = 0


def collect_detections(
    results: Iterable[DetectedFile], on_result: Callable[[DetectedFile], None]
) -> ImageDetections:
    """Consume all results; `on_result` is called after each image."""
    found, failures, files, clipped = {}, [], {}, 0
    for result in results:
        if result.detections is None:
            failures.append(str(result.error))
        else:
            found[result.image_id] = result.detections
            if result.file is not None:
                files[result.image_id] = result.file
        clipped += result.clipped
        on_result(result)
    return ImageDetections(found, tuple(failures), files, clipped)


def gather_detections(team: Team, detected: ImageDetections) -> ImageDetections:
    """Return the detections of all processes, in every process."""
    parts = team.gather(detected)
    found = {
        image_id: detections for part in parts for image_id, detections in part.detections.items()
    }
    files = {image_id: file for part in parts for image_id, file in part.files.items()}
    failures = tuple(message for part in parts for message in part.failures)
    return ImageDetections(found, failures, files, sum(part.clipped for part in parts))


def detect_files(
    model: FastRCNN,
    files: Sequence[ImageFile],
    propose: Propose,
    settings: DetectSettings,
    journal: Journal | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Iterator[DetectedFile]:
    """Detections in each of `files` (image id, path), in their order.

    Threads decode images and call `propose`, a few images ahead of the network. An image that
    fails does not stop the others. journal: detections of unchanged files are taken from it,
    new ones are added as each image finishes. Images with more than `max_pixels` fail.
    """
    prepare = partial(_prepare, propose, journal, max_pixels)
    for task in prefetch(prepare, files, threads=usable_cores()):
        result = task.result
        if result.image is not None:
            assert task.proposals is not None
            try:
                found = detect_image(model, result.image, task.proposals, settings)
            except InputError as error:
                result = replace(result, image=None, error=str(error))
            else:
                if journal is not None:
                    assert result.file is not None
                    journal.add(result.image_id, result.file.digest, found)
                result = replace(result, detections=found, clipped=task.proposals.clipped)
        yield result


@dataclass(frozen=True)
class _Task:
    """An image ready for the network, or one that does not need it (stored, or failed)."""

    result: DetectedFile
    proposals: Proposals | None = None


def _prepare(propose: Propose, journal: Journal | None, max_pixels: int, file: ImageFile) -> _Task:
    """Prepare an image for the network, in any thread."""
    image_id, path = file[0], Path(file[1])
    result = DetectedFile(image_id, path)
    try:
        data = read_image_bytes(path)
        digest = digest_of(data)
        known = None if journal is None else journal.known(image_id, digest)
        if known is not None:
            return _Task(replace(result, detections=known, file=ReadFile(digest)))
        image = decode_image(data, path, max_pixels)
        read = ReadFile(digest, (image.shape[1], image.shape[0]))
        return _Task(replace(result, image=image, file=read), propose(image_id, image))
    except Exception as error:
        return _Task(replace(result, error=failure_message(str(path), error)))
