"""The YOLO layout: labels/<split>/<id>.txt, images/<split>/, and data.yaml."""

from __future__ import annotations

import json
from pathlib import Path

from frcnn_cli.engine.datasets.export_records import ExportImage, ExportObject, copy_picture
from frcnn_cli.engine.records import Dataset


def write_yolo(root: Path, dataset: Dataset, images: list[ExportImage], pictures: bool) -> None:
    """Into an empty folder. A detection's score is the sixth number of its line. YOLO knows
    neither difficult objects nor crowds: both are left out."""
    for image in images:
        file = root / "labels" / dataset.split / f"{image.record.image_id}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = (item for item in image.objects if not (item.difficult or item.crowd))
        file.write_text("".join(f"{_line(item, image)}\n" for item in kept), encoding="utf-8")
        if pictures:
            copy_picture(image, root / "images" / dataset.split)
    (root / "images" / dataset.split).mkdir(parents=True, exist_ok=True)
    (root / "data.yaml").write_text(_description(dataset), encoding="utf-8")


def _description(dataset: Dataset) -> str:
    """The data.yaml. A string as json writes it is one to yaml as well, whatever is in it."""
    lines = [f"{dataset.split}: images/{dataset.split}", "names:"]
    names = (json.dumps(name, ensure_ascii=False) for name in dataset.classes)
    lines += [f"  {number}: {name}" for number, name in enumerate(names)]
    return "\n".join(lines) + "\n"


def _line(item: ExportObject, image: ExportImage) -> str:
    x1, y1, x2, y2 = item.box
    width, height = x2 - x1 + 1, y2 - y1 + 1
    fractions = (
        (x1 + width / 2) / image.width,
        (y1 + height / 2) / image.height,
        width / image.width,
        height / image.height,
    )
    numbers = [f"{value:.10g}" for value in fractions]
    if item.score is not None:
        numbers.append(f"{item.score:.8g}")
    return " ".join((str(item.label - 1), *numbers))
