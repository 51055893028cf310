"""Generate a small dataset in the VOC layout from a seed, without a download."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

from frcnn_cli.engine.datasets.generate.appearance import SHAPES
from frcnn_cli.engine.datasets.generate.scene import Scene, SceneObject, make_scene
from frcnn_cli.engine.datasets.text_files import CLASSES_FILE
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.files import whole_folder
from frcnn_proposals.wording import counted

_TEST_SHARE = 0.25
_VAL_SHARE = 0.15
_JPEG_QUALITY = 92


def generate_dataset(
    out: Path,
    images: int = 400,
    seed: int = 0,
    size: tuple[int, int] = (320, 240),
    reporter: Reporter = SILENT,
) -> Path:
    """Write images of textured shapes (SHAPES) of different sizes, with overlap and clutter.

    images: number of images; the last quarter is the test split, the rest trainval (train and
    val). seed: the same seed gives the same images; image i does not depend on `images`. size:
    width and height in pixels.

    `out` appears once it is complete. Raises MisuseError if it already exists, for fewer than 8
    images, and for a side of fewer than 64 pixels.
    """
    if images < 8:
        raise MisuseError(
            f"{counted(images, 'image is', 'images are')} too few to split: generate at least 8."
        )
    if min(size) < 64:
        raise MisuseError(
            f"{size[0]} x {size[1]} pixels are too small: each side must be at least 64."
        )
    with whole_folder(out) as folder:
        _write(folder, images, seed, size, reporter)
    return out


def _write(root: Path, images: int, seed: int, size: tuple[int, int], reporter: Reporter) -> None:
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    with reporter.progress("Generating", images) as advance:
        for number in range(images):
            scene = make_scene(np.random.default_rng((seed, number)), size[1], size[0])
            _write_image(root, _image_id(number), scene)
            advance(1, "")
    _write_splits(root, images)
    (root / CLASSES_FILE).write_text("\n".join(SHAPES) + "\n")


def _image_id(number: int) -> str:
    return f"{number + 1:06d}"


def _write_splits(root: Path, images: int) -> None:
    test = max(1, round(images * _TEST_SHARE))
    val = max(1, round(images * _VAL_SHARE))
    ids = [_image_id(number) for number in range(images)]
    splits = {
        "train": ids[: images - test - val],
        "val": ids[images - test - val : images - test],
        "trainval": ids[: images - test],
        "test": ids[images - test :],
    }
    for split, members in splits.items():
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(members) + "\n")


def _write_image(root: Path, image_id: str, scene: Scene) -> None:
    height, width = scene.pixels.shape[:2]
    path = root / "JPEGImages" / f"{image_id}.jpg"
    Image.fromarray(scene.pixels).save(path, quality=_JPEG_QUALITY)
    lines = [
        "<annotation>",
        f"  <filename>{escape(path.name)}</filename>",
        f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>",
        *(_object_xml(item) for item in scene.objects),
        "</annotation>",
    ]
    (root / "Annotations" / f"{image_id}.xml").write_text("\n".join(lines) + "\n")


def _object_xml(item: SceneObject) -> str:
    # VOC counts pixels from 1.
    x1, y1, x2, y2 = (corner + 1 for corner in item.box)
    flags = "".join(
        f"<{flag}>{int(value)}</{flag}>"
        for flag, value in (
            ("truncated", item.truncated),
            ("occluded", item.occluded),
            ("difficult", item.difficult),
        )
    )
    box = f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
    return f"  <object><name>{item.name}</name>{flags}<bndbox>{box}</bndbox></object>"
