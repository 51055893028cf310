"""The network of a detector, loaded by the first thread that needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frcnn_cli.api.detections import Detections
from frcnn_cli.api.images import boxes_for, image_id_of, reduced_image
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_proposals.errors import InputError, MisuseError
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

    def detect(self, image: ReducedImage, proposals: Proposals) -> records.Detections:
        """Detections in one image. Any number of threads may call it: nothing is changed."""
        from frcnn_cli.engine.detection.reduction import detect_reduced

        found = detect_reduced(self.prepared, image, proposals, self.detector.settings)
        return self.detector.selected(found)

    def prepare(
        self, image: Any, given: Any, max_pixels: int, for_features: bool = False
    ) -> tuple[ReducedImage, Proposals]:
        """An image and proposals in its pixels, computed in any thread.

        given: proposals as `boxes_for` takes them; None calls the detector's source. for_features:
        use the full size of the image, and no tiles.
        """
        from frcnn_cli.engine.detection.tiles import assign_to_tiles, propose_in_tiles

        tiles = None if for_features else self.detector.tiles
        is_full = for_features or given is not None
        reduction = unreduced if is_full else self.detector.reduction
        read, image_id = reduced_image(image, max_pixels, reduction), image_id_of(image)
        if given is not None:
            size = (read.width, read.height)
            return read, assign_to_tiles(boxes_for(given, image_id, size), tiles, size)
        return read, self._proposals_of(
            image, image_id, read.pixels, propose_in_tiles(self.propose, tiles)
        )

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
            name = image if isinstance(image, str | Path) else "the image"
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

    def with_setting(self, setting: Setting) -> ReadyNetwork:
        """The same weights with other settings; the source of proposals stays the same."""
        return replace(self, detector=setting.detector(self.detector.loaded))


class LazyNetwork:
    """A network that is loaded once, when it is first needed."""

    def __init__(self, load: Callable[[], ReadyNetwork]) -> None:
        self._load, self._lock = load, threading.Lock()
        self._ready: ReadyNetwork | None = None

    def get(self) -> ReadyNetwork:
        """The network. Other threads wait while one loads it. Raises like `load`."""
        with self._lock:
            if self._ready is None:
                self._ready = self._load()
            return self._ready


def load_network(path: Path, device: str, setting: Setting) -> ReadyNetwork:
    """The network in a model file, as `frcnn detect` loads it."""
    from frcnn_cli.engine.detection.prepare import prepare_model
    from frcnn_cli.engine.distributed.devices import find_device
    from frcnn_cli.engine.models.loaded import open_model
    from frcnn_cli.engine.proposals.source_calls import SourceCalls

    loaded = open_model(path, path.parent, find_device(device), setting.options.precision)
    detector = setting.detector(loaded)
    prepared = prepare_model(loaded.model, loaded.precision)
    return ReadyNetwork(detector, prepared, SourceCalls(detector.source))
