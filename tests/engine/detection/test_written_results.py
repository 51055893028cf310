"""Files of detections are written image by image: memory does not grow with their number."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from frcnn_cli.engine.datasets.export.dataset import export_dataset
from frcnn_cli.engine.detection.results import coco_entries, write_coco_results
from frcnn_cli.engine.detection.texts import write_csv
from frcnn_cli.engine.records import Dataset, Detections, ImageRecord

CLASSES = ("cat", "dog")
Write = Callable[[Path, Mapping[str, Detections]], None]


def found(images: int, each: int = 100) -> dict[str, Detections]:
    """The same detections in each image; none in every tenth."""
    boxes = np.random.default_rng(0).uniform(0, 99, (each, 4)).astype(np.float32)
    some = Detections(boxes, np.linspace(1, 0, each, dtype=np.float32), np.arange(each) % 2 + 1)
    return {f"{n:04d}": Detections() if n % 10 == 0 else some for n in range(images)}


def exported(format: str) -> Write:
    def write(path: Path, detections: Mapping[str, Detections]) -> None:
        images = tuple(ImageRecord(name, Path(f"{name}.jpg"), 100, 100) for name in detections)
        export_dataset(Dataset("d", "test", CLASSES, images), path, format, detections)

    return write


WRITERS: dict[str, Write] = {
    "detect --json": lambda path, detections: write_coco_results(path, detections, CLASSES),
    "detect --csv": lambda path, detections: write_csv(path, detections, CLASSES),
    "data export coco": exported("coco"),
    "data export csv": exported("csv"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_memory_of_writing_does_not_grow_with_the_images(name: str, tmp_path: Path) -> None:
    def peak(images: int) -> int:
        detections = found(images)
        tracemalloc.start()
        WRITERS[name](tmp_path / "file", detections)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(10)  # imports
    # The least of three: the trace counts every thread, and one of an earlier test may still end.
    growth = min(peak(220) - peak(20) for _ in range(3))
    assert growth / 200 < 1000  # bytes per image of 100 detections


@pytest.mark.parametrize("images", [0, 1, 2, 12])
def test_the_file_is_that_of_all_entries_at_once(images: int, tmp_path: Path) -> None:
    detections = found(images, each=2)
    write_coco_results(tmp_path / "a.json", detections, CLASSES)
    entries = [e for name, some in detections.items() for e in coco_entries(name, some, CLASSES)]
    assert (tmp_path / "a.json").read_text() == json.dumps(entries, indent=2) + "\n"
    exported("coco")(tmp_path / "b.json", detections)
    assert len(json.loads((tmp_path / "b.json").read_text())) == len(entries)
