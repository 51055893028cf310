"""The network of a detector on its device: from the caller's images to detections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frcnn_cli.api.detections import Detections
from frcnn_cli.api.images import boxes_for, image_id_of, reduced_image
from frcnn_cli.engine.parts.rows import Item
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.formats.parts.row import Notice, Row
from frcnn_proposals.images import unreduced
from frcnn_proposals.sources.call import SourceError
from frcnn_proposals.sources.precomputed import Precomputed

if TYPE_CHECKING:
    from frcnn_cli.engine import records
    from frcnn_cli.engine.detection import run
    from frcnn_cli.engine.models.loaded import LoadedModel
    from frcnn_cli.engine.network.model import FastRCNN
    from frcnn_cli.engine.proposals.source_calls import Propose, SourceCalls
    from frcnn_cli.engine.reporter import Reporter
    from frcnn_proposals.base import Image, Proposals
    from frcnn_proposals.images import ReducedImage


@dataclass(frozen=True)
class Setting:
    """Detection settings: changes to the model's, the source of proposals with its parameters
    (NAME=VALUE), and the classes to return (None for all)."""

    options: DetectionOptions
    proposals: Path | None
    source: str | None
    classes: tuple[str, ...] | None
    parameters: tuple[str, ...] = ()

    def detector(self, loaded: LoadedModel) -> run.Detector:
        """The engine's detector. Raises MisuseError for a value out of range."""
        from frcnn_cli.engine.detection.run import make_detector

        return make_detector(
            loaded, self.options, self.proposals, self.source, self.classes, self.parameters
        )


@dataclass(frozen=True)
class ReadyNetwork:
    """Weights on their device. prepared: the model as `prepare_model` returns it."""

    detector: run.Detector
    prepared: FastRCNN
    propose: SourceCalls

    @property
    def identity(self) -> dict[str, Any]:
        """The model, the settings and tiles, the source of the proposals, and the classes."""
        return {**self.detector.identity, "classes": self.detector.classes}

    def prepare(
        self, image: Any, image_id: str, given: Any, max_pixels: int, for_features: bool = False
    ) -> tuple[ReducedImage, Proposals]:
        """An image and proposals in its pixels, computed in any thread.

        given: proposals as `boxes_for` takes them; None calls the detector's source. for_features:
        use the full size of the image, and no tiles.
        """
        from frcnn_cli.engine.detection.tiles import assign_to_tiles, propose_in_tiles

        tiles = None if for_features else self.detector.tiles
        is_full = for_features or given is not None
        reduction = unreduced if is_full else self.detector.reduction
        read = reduced_image(image, max_pixels, reduction, image_id)
        if given is not None:
            size = (read.width, read.height)
            return read, assign_to_tiles(boxes_for(given, image_id, size), tiles, size)
        propose = propose_in_tiles(self.propose, tiles)
        return read, self._proposals_of(image, image_id, read.pixels, propose)

    def detect_one(self, image: Any, given: Any, max_pixels: int, reporter: Reporter) -> Detections:
        """Detections in one image. given: see `prepare`."""
        read, boxes = self.prepare(image, image_id_of(image), given, max_pixels)
        found = self._named(image, read, boxes)
        self.warn(boxes.clipped, [found], reporter)
        return found

    def detect_all(
        self, images: Sequence[Any], given: Sequence[Any], max_pixels: int, reporter: Reporter
    ) -> list[Detections]:
        """Detections in each of several images, which are prepared in threads."""
        from frcnn_cli.engine.distributed.streams import Streams

        def prepare(task: tuple[Any, Any]) -> tuple[Any, ReducedImage, Proposals]:
            image, boxes = task
            return image, *self.prepare(image, image_id_of(image), boxes, max_pixels)

        def detect(prepared: tuple[Any, ReducedImage, Proposals]) -> tuple[Detections, int]:
            return self._named(*prepared), prepared[2].clipped

        found, clipped = [], 0
        tasks = zip(images, given, strict=True)
        streams = Streams.of(self.prepared.offset_means.device)
        with reporter.progress("Detecting", len(images)) as advance:
            for named, clipped_boxes in streams.pipeline(prepare, detect, tasks):
                found.append(named)
                clipped += clipped_boxes
                advance(1, named.image_id)
        self.warn(clipped, found, reporter)
        return found

    def rows(
        self, items: Iterable[Item], max_pixels: int, threads: int | None = None
    ) -> Iterator[Row]:
        """The detections in each of `items`, in order, or the error of the image."""
        from frcnn_cli.engine.detection.rows import map_items
        from frcnn_cli.engine.distributed.streams import Streams

        def prepare(item: Item) -> tuple[ReducedImage, Proposals, str]:
            read, boxes = self.prepare(item.image, item.name, item.boxes, max_pixels)
            return read, boxes, "" if item.boxes is not None else item.name

        def compute(prepared: tuple[ReducedImage, Proposals, str]) -> records.Detections:
            read, boxes, _ = prepared
            return self.detect(read, boxes)

        streams = Streams.of(self.prepared.offset_means.device)
        return map_items(
            items, prepare, compute, lambda ready: self._notices(*ready), threads, streams
        )

    def _notices(self, read: ReducedImage, boxes: Proposals, image_id: str) -> dict[Notice, int]:
        """What detect_in_files warns of, for one image. image_id: empty if boxes were given."""
        from frcnn_cli.engine.detection.tiles import small_image_notice
        from frcnn_cli.engine.proposals.image_match import SIZE_NOTICE, has_other_size
        from frcnn_cli.engine.proposals.source_calls import clipped_notice

        source, tiles = self.detector.source, self.detector.tiles
        size = (read.width, read.height)
        counts = {clipped_notice(source.name): boxes.clipped}
        if tiles is not None and not tiles.divides(*size):
            counts[small_image_notice(tiles)] = 1
        if image_id and isinstance(source, Precomputed):
            counts[SIZE_NOTICE] = int(has_other_size(source, image_id, size))
        return counts

    def detect(self, image: ReducedImage, proposals: Proposals) -> records.Detections:
        """Detections in one image. Any number of threads may call it: nothing is changed."""
        from frcnn_cli.engine.detection.reduction import detect_reduced

        found = detect_reduced(self.prepared, image, proposals, self.detector.settings)
        return self.detector.selected(found)

    def _proposals_of(
        self, image: Any, image_id: str, pixels: Image, propose: Propose
    ) -> Proposals:
        """Proposals by the detector's source. Raises InputError, which names the image."""
        source = self.detector.source
        if isinstance(source, Precomputed) and not image_id:
            raise MisuseError(
                f"The proposals of {source.file} are found by image id: give the path of the "
                "image, or proposals."
            )
        try:
            return propose(image_id, pixels)
        except SourceError as error:
            name = image if isinstance(image, str | Path) else image_id or "the image"
            raise InputError(f"{name}: {error}") from error

    def warn(self, clipped: int, found: Sequence[Detections], reporter: Reporter) -> None:
        """Report boxes of the source that reached outside their images, and images without tiles.

        clipped: number of these boxes. found: of all images.
        """
        from frcnn_cli.engine.detection.tiles import warn_of_small_images
        from frcnn_cli.engine.proposals.source_calls import clipped_message

        if clipped:
            reporter.warn(clipped_message(self.detector.source.name, clipped))
        sizes = [each.size for each in found if each.size is not None]
        warn_of_small_images(self.detector.tiles, sizes, reporter)

    def named(
        self,
        found: records.Detections,
        image_id: str,
        image: Any,
        size: tuple[int, int] | None = None,
    ) -> Detections:
        """Detections with their class names and their image."""
        classes = self.detector.loaded.classes
        return Detections(found.boxes, found.scores, found.labels, classes, image_id, size, image)

    def _named(self, image: Any, read: ReducedImage, boxes: Proposals) -> Detections:
        source = Path(image) if isinstance(image, str | Path) else read.pixels
        size = (read.width, read.height)
        return self.named(self.detect(read, boxes), image_id_of(image), source, size)

    def with_setting(self, setting: Setting) -> ReadyNetwork:
        """The same weights with other settings; the source of proposals stays the same."""
        return replace(self, detector=setting.detector(self.detector.loaded))
