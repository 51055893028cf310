"""Draw proposals on an image: the best one for each object, or the first ones."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw

from frcnn_cli.engine.boxes import best_overlaps
from frcnn_cli.engine.datasets.find import available_splits, find_dataset
from frcnn_cli.engine.datasets.layouts import layouts_in
from frcnn_cli.engine.drawing.captions import Caption, draw_captions, line_width
from frcnn_cli.engine.drawing.colours import class_colour
from frcnn_cli.engine.drawing.enlargement import enlarged_boxes, enlarged_image, enlargement
from frcnn_cli.engine.drawing.fonts import warn_of_missing_letters
from frcnn_cli.engine.records import GroundTruth
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.files import unused_file, write_whole
from frcnn_proposals.formats.interpret import Hints
from frcnn_proposals.formats.read import open_proposals
from frcnn_proposals.images import read_image

_FIRST_BOXES = 50  # drawn on an image without annotated objects


@dataclass(frozen=True)
class DrawnProposals:
    """The result of draw_proposals.

    path: the image file. boxes: number of proposals of the image. best: one proposal per object;
    None if the first proposals were drawn. classes: names by label - 1.
    """

    path: Path
    boxes: int
    best: tuple[BestBox, ...] | None
    classes: tuple[str, ...]


def draw_proposals(
    file: Path,
    image: str,
    out: Path | None = None,
    *,
    dataset: str | None = None,
    data_root: Path | None = None,
    hints: Hints | None = None,
    top: int | None = None,
    reporter: Reporter = SILENT,
) -> DrawnProposals:
    """Draw the proposals of one image from `file`: the best one per object, or the first `top`.

    image: a file, or an id of `dataset`. out: a PNG file, or JPEG by its suffix; None is
    <id>-proposals.png in the current folder, with a number if that exists. Raises MisuseError if
    the image does not exist, InputError if the file has no proposals for it.
    """
    found = find_record(image, dataset, data_root)
    pixels = read_image(found.path)
    size = (pixels.shape[1], pixels.shape[0])
    by_id = open_proposals(
        file,
        hints or Hints(),
        found.split_ids,
        lambda image_id: size if image_id == found.image_id else None,
    ).proposals
    if found.image_id not in by_id:
        raise InputError(f"{file}: has no proposals for image {found.image_id!r}")
    proposals = by_id[found.image_id]
    best = None
    if top is None and found.truth is not None:
        best = tuple(best_boxes(found.truth, proposals))
        warn_of_missing_letters(reporter, (found.classes[match.label - 1] for match in best))
        drawn = draw_best_boxes(pixels, best, found.classes)
    else:
        drawn = draw_first_boxes(pixels, proposals, top or _FIRST_BOXES)
    out = out or unused_file(Path(f"{found.image_id.replace('/', '_')}-proposals.png"))
    file_format = "jpeg" if out.suffix.lower() in (".jpg", ".jpeg") else "png"
    buffer = io.BytesIO()
    PillowImage.fromarray(np.ascontiguousarray(drawn)).save(buffer, file_format, quality=92)
    write_whole(out, buffer.getvalue())
    return DrawnProposals(out, len(proposals), best, found.classes)


@dataclass(frozen=True)
class FoundImage:
    """An image, and its objects if a dataset has them.

    split_ids: the ids of its split, in order; files without ids need them.
    """

    image_id: str
    path: Path
    truth: GroundTruth | None
    classes: tuple[str, ...]
    split_ids: tuple[str, ...]


def find_record(image: str, name: str | None, data_root: Path | None) -> FoundImage:
    """The image file `image`, or the image of that id in the dataset `name`.

    If `name` is None and a dataset contains the file (VOC: .../JPEGImages/<id>.jpg), its objects
    are used. Raises MisuseError if the image does not exist.
    """
    path = Path(image)
    parent_dataset = path.resolve().parent.parent
    if name is None and path.is_file() and layouts_in(parent_dataset):
        name = str(parent_dataset)
    if name is not None:
        for split in available_splits(name, data_root):
            dataset = find_dataset(name, split, data_root)
            for record in dataset.images:
                if record.image_id == image or _same_file(record.path, path):
                    ids = tuple(other.image_id for other in dataset.images)
                    return FoundImage(
                        record.image_id, record.path, record.truth, dataset.classes, ids
                    )
    if not path.is_file():
        where = "; for an id, also give --dataset" if name is None else f" in {name}"
        raise MisuseError(f"{image}: no image file or image id of this name{where}")
    return FoundImage(path.stem, path, None, (), (path.stem,))


def _same_file(one: Path, other: Path) -> bool:
    return one.name == other.name and one.is_file() and other.is_file() and one.samefile(other)


@dataclass(frozen=True)
class BestBox:
    """The proposal that overlaps an object most. rank: its index in the list of proposals."""

    label: int
    truth: NDArray[np.float32]
    box: NDArray[np.float32] | None
    iou: float
    rank: int


def best_boxes(truth: GroundTruth, proposals: Proposals) -> list[BestBox]:
    """For each object, the first proposal with the highest IoU; box is None without proposals."""
    objects = list(zip(map(int, truth.labels), truth.boxes, strict=True))
    if len(proposals) == 0:
        return [BestBox(label, box, None, 0.0, -1) for label, box in objects]
    ranks, overlaps = best_overlaps(truth.boxes, proposals.boxes)
    return [
        BestBox(label, box, proposals.boxes[rank], float(overlap), int(rank))
        for (label, box), overlap, rank in zip(objects, overlaps, ranks, strict=True)
    ]


def draw_best_boxes(image: Image, best: Sequence[BestBox], classes: Sequence[str]) -> Image:
    """An RGB image (H, W, 3) with each object in white and its best proposal in the colour of its
    class, labelled with class and IoU. A small image is enlarged.
    """
    factor = enlargement(image)
    canvas = PillowImage.fromarray(enlarged_image(image, factor))
    draw = ImageDraw.Draw(canvas)
    width = line_width(canvas.size)
    for match in best:
        draw.rectangle(_corners(match.truth, factor), outline="white", width=width)
    captions = []
    for match in best:
        colour = class_colour(match.label)
        if match.box is not None:
            draw.rectangle(_corners(match.box, factor), outline=colour, width=width)
        box = _corners(match.truth if match.box is None else match.box, factor)
        captions.append(Caption(box, f"{classes[match.label - 1]} IoU {match.iou:.2f}", colour))
    draw_captions(draw, captions, canvas.size)
    return np.asarray(canvas)


def draw_first_boxes(image: Image, proposals: Proposals, count: int) -> Image:
    """An RGB image (H, W, 3) with the first `count` proposals, the first one on top.

    A small image is enlarged.
    """
    factor = enlargement(image)
    canvas = PillowImage.fromarray(enlarged_image(image, factor))
    draw = ImageDraw.Draw(canvas)
    boxes = proposals.top(count).boxes
    for index in reversed(range(len(boxes))):
        corners = _corners(boxes[index], factor)
        draw.rectangle(corners, outline=class_colour(index + 1), width=2)
    return np.asarray(canvas)


def _corners(box: NDArray[np.float32], factor: int) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = enlarged_boxes(box, factor).tolist()
    return x1, y1, x2, y2
