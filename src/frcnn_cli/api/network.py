"""The network of a detector, loaded by the first thread that needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn_cli.engine.settings.options import DetectionOptions

if TYPE_CHECKING:
    from frcnn_cli.engine import records
    from frcnn_cli.engine.detection import run
    from frcnn_cli.engine.detection.images import Propose
    from frcnn_cli.engine.models.loaded import LoadedModel
    from frcnn_cli.engine.network.model import FastRCNN
    from frcnn_proposals.base import Image, Proposals


@dataclass(frozen=True)
class Setting:
    """Detection settings: changes to the model's, the source of proposals, and the classes to
    return (None for all)."""

    options: DetectionOptions
    proposals: Path | None
    source: str | None
    classes: tuple[str, ...] | None

    def detector(self, loaded: LoadedModel) -> run.Detector:
        """The engine's detector. Raises MisuseError for a value out of range."""
        from frcnn_cli.engine.detection.run import make_detector

        return make_detector(loaded, self.options, self.proposals, self.source, self.classes)


@dataclass(frozen=True)
class ReadyNetwork:
    """Weights on their device. prepared: the model as `prepare_model` returns it."""

    detector: run.Detector
    prepared: FastRCNN
    propose: Propose

    def detect(self, image: Image, proposals: Proposals) -> records.Detections:
        """Detections in one image. Any number of threads may call it: nothing is changed."""
        from frcnn_cli.engine.detection.image import detect_image

        found = detect_image(self.prepared, image, proposals, self.detector.settings)
        return self.detector.selected(found)

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
    from frcnn_cli.engine.detection.images import proposals_from
    from frcnn_cli.engine.detection.prepare import prepare_model
    from frcnn_cli.engine.distributed.devices import find_device
    from frcnn_cli.engine.models.loaded import open_model

    loaded = open_model(path, path.parent, find_device(device), setting.options.precision)
    detector = setting.detector(loaded)
    prepared = prepare_model(loaded.model, loaded.precision)
    return ReadyNetwork(detector, prepared, proposals_from(detector.source))
