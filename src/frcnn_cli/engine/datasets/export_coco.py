"""COCO json: a data set, or results. A box is x, y, width, height; a width is x2 - x1 + 1."""

from __future__ import annotations

import json
from typing import Any

from frcnn_cli.engine.datasets.coco_records import Numbering, numbering
from frcnn_cli.engine.datasets.export_records import ExportImage
from frcnn_cli.engine.records import Dataset


def coco_dataset(dataset: Dataset, images: list[ExportImage]) -> bytes:
    """Images, annotations and categories.

    A difficult object is a crowd to COCO, the one kind that it leaves out of account; the key
    'difficult' keeps it apart for this toolkit.
    """
    numbers = numbering(dataset)
    annotations: list[dict[str, Any]] = []
    for image in images:
        for item in image.objects:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": numbers.images[image.record.image_id],
                    "category_id": numbers.classes[item.label - 1],
                    "bbox": _extent(item.box),
                    "area": item.area,
                    "iscrowd": int(item.crowd or item.difficult),
                    "difficult": int(item.difficult),
                }
            )
    content = {
        "info": {"description": f"{dataset.name} {dataset.split}"},
        "images": [_image_entry(image, numbers) for image in images],
        "annotations": annotations,
        "categories": [
            {"id": number, "name": name}
            for number, name in zip(numbers.classes, dataset.classes, strict=True)
        ],
    }
    return json.dumps(content).encode()


def coco_results(dataset: Dataset, images: list[ExportImage]) -> bytes:
    """Results: image_id and category_id are the numbers that coco_dataset gives."""
    numbers = numbering(dataset)
    entries = [
        {
            "image_id": numbers.images[image.record.image_id],
            "category_id": numbers.classes[item.label - 1],
            "bbox": _extent(item.box),
            "score": item.score,
        }
        for image in images
        for item in image.objects
    ]
    return json.dumps(entries).encode()


def _image_entry(image: ExportImage, numbers: Numbering) -> dict[str, Any]:
    image_id = image.record.image_id
    return {
        "id": numbers.images[image_id],
        "file_name": f"{image_id}{image.record.path.suffix}",
        "width": image.width,
        "height": image.height,
    }


def _extent(box: tuple[float, float, float, float]) -> list[float]:
    x1, y1, x2, y2 = box
    return [x1, y1, x2 - x1 + 1, y2 - y1 + 1]
