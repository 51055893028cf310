"""Detection in image files: one that fails does not stop the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from frcnn_cli.engine.detect import detect_image
from frcnn_cli.engine.model import FastRCNN
from frcnn_cli.engine.proposing.run import ImageFile
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Image, Source
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import read_image
from frcnn_proposals.precomputed import Precomputed


@dataclass(frozen=True)
class DetectedFile:
    """One image file: its pixels and what was found in it, or why it could not be read."""

    image_id: str
    path: Path
    image: Image | None = None
    detections: Detections | None = None
    error: str | None = None


def detect_files(
    model: FastRCNN, files: Sequence[ImageFile], source: Source, settings: DetectSettings
) -> Iterator[DetectedFile]:
    """Detections in each of `files` (image id, path), in their order.

    source: makes the proposals, or holds them by image id (Precomputed).
    """
    for image_id, path in files:
        try:
            image = read_image(path)
            if isinstance(source, Precomputed):
                proposals = source.propose_for(image_id, (image.shape[1], image.shape[0]))
            else:
                proposals = source.propose(image)
            detections = detect_image(model, image, proposals, settings)
            yield DetectedFile(image_id, Path(path), image, detections)
        except InputError as error:
            yield DetectedFile(image_id, Path(path), error=str(error))
        except Exception as error:  # a source's own fault costs its image, not the rest
            reason = f"{path}: detection failed ({type(error).__name__}: {error})"
            yield DetectedFile(image_id, Path(path), error=reason)
