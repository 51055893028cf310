"""start.py [FOLDER SMALL LARGE]: seconds until `frcnn train` has finished its first iteration.

The data resemble COCO's: an annotation file with 80 classes and 7.3 objects per image, and a store
of 2,000 boxes per image. All images are the same picture. Each run has one iteration, an empty
cache and random weights. The cost of each further image follows from the difference between the two
sizes, and the time for COCO's 118,287 images from this cost. The data are kept in FOLDER. Run it
on an idle machine.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frcnn_proposals.base import Proposals
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.writer import StoreWriter

WIDTH, HEIGHT, CLASSES, OBJECTS, BOXES = 640, 480, 80, 7.3, 2000
CORNERS = 20  # of an object's polygon, which makes the annotations as long as COCO's
COCO, ROUNDS = 118_287, 3
TRAIN = ("train", "--iterations", "1", "--weights", "none", "--allow-mismatch")


def main(folder: Path, small: int = 2000, large: int = 10_000) -> None:
    for count in (small, large):
        if not (folder / f"{count}.proposals").exists():
            make_dataset(folder / str(count), folder / f"{count}.proposals", count)
    print(f"| | {small:,} images | {large:,} images | per image | {COCO:,} images |")
    print("|---|---|---|---|---|")
    runs = {name: {small: [], large: []} for name in ("first start", "later start")}
    for _ in range(ROUNDS):
        for count in (small, large):
            cache = tempfile.mkdtemp(dir=folder)
            for times in runs.values():
                times[count].append(seconds_of(folder, count, cache))
            shutil.rmtree(cache)
    for name, times in runs.items():
        one, two = (statistics.median(times[count]) for count in (small, large))
        per_image = (two - one) / (large - small)
        whole = two + (COCO - large) * per_image
        print(f"| {name} | {one:.1f} s | {two:.1f} s | {1000 * per_image:.2f} ms | {whole:.0f} s |")


def seconds_of(folder: Path, count: int, cache: str) -> float:
    out = Path(cache) / "run"
    words = (*TRAIN, str(folder / str(count)), "--proposals", str(folder / f"{count}.proposals"))
    environment = {**os.environ, "FRCNN_CACHE": cache}
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "frcnn_cli", "-q", *words, "--out", str(out)],
        env=environment, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    shutil.rmtree(out)
    return time.perf_counter() - start


def make_dataset(folder: Path, store: Path, count: int) -> None:
    """A COCO dataset with a split `train`, and a store of its proposals."""
    rng = np.random.default_rng(0)
    images = folder / "train2017"
    images.mkdir(parents=True)
    picture = folder.parent / "picture.jpg"
    Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)).save(picture)
    names = [f"{number:012}.jpg" for number in range(1, count + 1)]
    for name in names:
        (images / name).hardlink_to(picture)
    counts = 1 + rng.poisson(OBJECTS - 1, count)
    (folder / "annotations").mkdir()
    truth = folder / "annotations/instances_train2017.json"
    truth.write_text(json.dumps(annotations(names, counts, rng)))
    with StoreWriter(store, Provenance("random", "1", {})) as writer:
        for name in names:
            proposals = Proposals(random_boxes(rng, BOXES).astype(np.float32))
            writer.add(name.removesuffix(".jpg"), proposals, size=(WIDTH, HEIGHT))
        writer.finish()


def annotations(
    names: Sequence[str], counts: NDArray[np.int64], rng: np.random.Generator
) -> dict[str, list[dict[str, object]]]:
    image_of = np.repeat(np.arange(1, len(names) + 1), counts)
    x1, y1, x2, y2 = random_boxes(rng, len(image_of)).T
    columns = (image_of, rng.integers(1, CLASSES + 1, len(image_of)), x1, y1, x2 - x1, y2 - y1)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {
        "images": [
            {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT}
            for number, name in enumerate(names, 1)
        ],
        "categories": [{"id": n, "name": f"class{n}"} for n in range(1, CLASSES + 1)],
        "annotations": [
            {"id": number, "image_id": image, "category_id": label, "bbox": box,
             "area": box[2] * box[3], "iscrowd": 0, "segmentation": [box[:2] * CORNERS]}
            for number, (image, label, *box) in enumerate(rows, 1)
        ],
    }  # fmt: skip


def random_boxes(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Boxes (count, 4) of all sizes, in tenths of a pixel, inside the image."""
    first, second = (rng.uniform(0, (WIDTH - 12, HEIGHT - 12), (count, 2)) for _ in range(2))
    boxes = np.concatenate([np.minimum(first, second), np.maximum(first, second) + 10], axis=1)
    return boxes.round(1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        chosen = Path(sys.argv[1]) if sys.argv[1:] else Path(name)
        main(chosen, *map(int, sys.argv[2:]))
