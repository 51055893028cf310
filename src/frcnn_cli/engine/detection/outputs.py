"""Output files that are written image by image: annotated images, crops and YOLO texts."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from frcnn_cli.engine.detection.texts import yolo_text
from frcnn_cli.engine.drawing.detections import annotated_image_path, draw_detections, enlarge
from frcnn_cli.engine.proposals.paths import is_inside
from frcnn_cli.engine.records import Detections, ImageFile
from frcnn_proposals.base import Image
from frcnn_proposals.errors import InputError, MisuseError, reason
from frcnn_proposals.files import reject_same_file, write_whole


@dataclass(frozen=True)
class DetectionOutputs:
    """Where to write detections; None writes nothing.

    json_path: file in COCO results format. csv_path: file with one row per detection. annotated:
    folder for annotated images, ID.jpg; small ones are enlarged. crops: folder for the pixels of
    the boxes, CLASS/ID-N.jpg. yolo: folder for one text per image, ID.txt, and classes.txt.
    """

    json_path: Path | None = None
    csv_path: Path | None = None
    annotated: Path | None = None
    crops: Path | None = None
    yolo: Path | None = None

    @property
    def folders(self) -> list[Path]:
        """The folders into which files are written image by image."""
        folders = (self.annotated, self.crops, self.yolo)
        return [folder for folder in folders if folder is not None]

    @property
    def need_pixels(self) -> bool:
        """Whether anything is written image by image."""
        return bool(self.folders)

    def reject_inputs(self, files: Iterable[ImageFile]) -> None:
        """Raise MisuseError for an image that an output would replace, or in the folder of crops.

        A crop could replace an image there, or be read by the next run.
        """
        for image_id, file in files:
            if self.annotated is not None:
                reject_same_file(Path(file), annotated_image_path(self.annotated, image_id))
            if self.crops is not None and is_inside(Path(file), self.crops):
                raise MisuseError(
                    f"{file}: is in the folder of the crops, {self.crops}. Choose another folder."
                )

    def write_image(
        self, image_id: str, image: Image, detections: Detections, classes: Sequence[str]
    ) -> None:
        """Write the files of one image: all except JSON and CSV."""
        if self.annotated is not None:
            drawn = draw_detections(*enlarge(image, detections), classes)
            write_jpeg(annotated_image_path(self.annotated, image_id), drawn)
        if self.crops is not None:
            write_crops(self.crops, image_id, image, detections, classes)
        if self.yolo is not None:
            text = yolo_text(detections, image.shape[1], image.shape[0])
            write_whole(self.yolo / f"{image_id}.txt", text.encode())


def write_crops(
    folder: Path, image_id: str, image: Image, detections: Detections, classes: Sequence[str]
) -> None:
    """Write the pixels of each box as CLASS/ID-N.jpg, N from 1 in the order of the scores."""
    names = class_folders(classes)
    corners = np.floor(detections.boxes + 0.5).astype(int).tolist()
    rows = zip(detections.labels.tolist(), corners, strict=True)
    for number, (label, (x1, y1, x2, y2)) in enumerate(rows, start=1):
        region = image[y1 : max(y1, y2) + 1, x1 : max(x1, x2) + 1]
        write_jpeg(folder / names[label - 1] / f"{image_id}-{number}.jpg", region)


def class_folders(classes: Sequence[str]) -> list[str]:
    """A distinct name for each class that any file system takes: `traffic light`, `a_b` for a/b."""
    names = [re.sub(r"[^\w +.-]", "_", name)[:60].strip(" .") or "_" for name in classes]
    if len({name.casefold() for name in names}) < len(names):
        names = [f"{label} {name}" for label, name in enumerate(names, start=1)]
    return names


def write_jpeg(path: Path, image: Image) -> None:
    """Write RGB pixels (H, W, 3). Raises InputError for sides that JPEG cannot have."""
    buffer = io.BytesIO()
    try:
        PillowImage.fromarray(image).save(buffer, "JPEG", quality=92)
    except (OSError, ValueError) as error:
        size = f"{image.shape[1]} x {image.shape[0]}"
        raise InputError(
            f"{path}: {size} pixels cannot be written as JPEG ({reason(error)})"
        ) from error
    write_whole(path, buffer.getvalue())
