"""Detection in image files: one that fails does not stop the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from frcnn_cli.engine.detect import detect_image
from frcnn_cli.engine.model import FastRCNN
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Image, Source
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import read_image
from frcnn_proposals.precomputed import Precomputed


@dataclass(frozen=True)
class DetectedFile:
    """One image file: its pixels and what was found in it, or why it could not be read."""

    path: Path
    image_id: str
    image: Image | None = None
    detections: Detections | None = None
    error: str | None = None


def detect_files(
    model: FastRCNN, files: Sequence[Path], source: Source, settings: DetectSettings
) -> Iterator[DetectedFile]:
    """Detections in each of `files`, in their order; image ids are file names without suffix.

    source: makes the proposals, or holds them by image id (Precomputed).
    """
    for path in files:
        image_id = path.stem
        try:
            image = read_image(path)
            if isinstance(source, Precomputed):
                proposals = source.propose_for(image_id)
            else:
                proposals = source.propose(image)
            detections = detect_image(model, image, proposals, settings)
            yield DetectedFile(path, image_id, image, detections)
        except InputError as error:
            yield DetectedFile(path, image_id, error=str(error))
