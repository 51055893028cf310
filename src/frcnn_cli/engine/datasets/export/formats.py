"""Content of each export format: COCO json, CSV, VOC and YOLO.

COCO json stores a box as x, y, width, height; a width is x2 - x1 + 1.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from frcnn_cli.engine.datasets.export.records import ExportImage, ExportObject, copy_image
from frcnn_cli.engine.datasets.readers.coco_records import Numbering, numbering
from frcnn_cli.engine.datasets.readers.yolo import label_file
from frcnn_cli.engine.datasets.text_files import CLASSES_FILE, image_list
from frcnn_cli.engine.records import Dataset

FORMATS = ("coco", "voc", "yolo", "csv")


def coco_dataset(dataset: Dataset, images: list[ExportImage], description: str = "") -> bytes:
    """Return images, annotations and categories as JSON.

    A difficult object is written as a crowd, the only kind of object that COCO ignores; the key
    'difficult' lets this toolkit tell them apart.
    """
    name, numbers = f"{dataset.name} {dataset.split}", numbering(dataset)
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
        "info": {"description": ": ".join(filter(None, (name, description)))},
        "images": [_image_entry(image, numbers) for image in images],
        "annotations": annotations,
        "categories": [
            {"id": number, "name": class_name}
            for number, class_name in zip(numbers.classes, dataset.classes, strict=True)
        ],
    }
    return json.dumps(content).encode()


def coco_detections(
    dataset: Dataset, images: Iterable[ExportImage]
) -> Iterator[list[dict[str, Any]]]:
    """The results of each image; image_id and category_id are the numbers of coco_dataset."""
    numbers = numbering(dataset)
    for image in images:
        yield [
            {
                "image_id": numbers.images[image.record.image_id],
                "category_id": numbers.classes[item.label - 1],
                "bbox": _extent(item.box),
                "score": item.score,
            }
            for item in image.objects
        ]


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


_COLUMNS = ("image", "class", "x1", "y1", "x2", "y2", "score", "difficult", "crowd")


def csv_rows(images: Iterable[ExportImage]) -> Iterator[bytes]:
    """A header, then the rows of each image. Ground truth has no score."""
    yield _csv([_COLUMNS])
    for image in images:
        yield _csv(
            (
                *(image.record.image_id, item.name, *item.box),
                "" if item.score is None else repr(item.score),
                *(int(item.difficult), int(item.crowd)),
            )
            for item in image.objects
        )


def _csv(rows: Iterable[tuple[Any, ...]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def write_coco(
    root: Path,
    dataset: Dataset,
    images: list[ExportImage],
    copy_images: bool,
    description: str = "",
) -> None:
    """Write the layout of COCO's own datasets into an empty folder."""
    file = root / "annotations" / f"instances_{dataset.split}.json"
    file.parent.mkdir()
    file.write_bytes(coco_dataset(dataset, images, description))
    for image in images if copy_images else ():
        copy_image(image, root / "images")


def write_voc(
    root: Path,
    dataset: Dataset,
    images: list[ExportImage],
    copy_images: bool,
    description: str = "",
) -> None:
    """Write the VOC layout into an empty folder.

    A detection's <score> is next to its <bndbox>. A crowd is written as difficult, which VOC
    ignores in the same way.
    """
    for image in images:
        file = root / "Annotations" / f"{image.record.image_id}.xml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(annotation_xml(image, _source(dataset, description)), encoding="utf-8")
        if copy_images:
            copy_image(image, root / "JPEGImages")
    (root / "JPEGImages").mkdir(exist_ok=True)
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    ids = image_list(image.record.image_id for image in images)
    (lists / f"{dataset.split}.txt").write_text(ids, encoding="utf-8")
    names = "".join(f"{name}\n" for name in dataset.classes)
    (root / CLASSES_FILE).write_text(names, encoding="utf-8")


def _source(dataset: Dataset, description: str) -> list[str]:
    """Return the lines of an annotation file that say where its objects are from."""
    if not description:
        return []
    database = escape(f"{dataset.name} {dataset.split}")
    annotation = escape(description)
    return [
        f"  <source><database>{database}</database><annotation>{annotation}</annotation></source>"
    ]


def annotation_xml(image: ExportImage, source: Sequence[str] = ()) -> str:
    """Return the content of an annotation file. source: additional lines."""
    name = f"{image.record.image_id}{image.record.path.suffix}"
    size = f"<width>{image.width}</width><height>{image.height}</height><depth>3</depth>"
    lines = [
        "<annotation>",
        f"  <filename>{escape(name)}</filename>",
        *source,
        f"  <size>{size}</size>",
        *(_object_xml(item) for item in image.objects),
        "</annotation>",
    ]
    return "\n".join(lines) + "\n"


def _object_xml(item: ExportObject) -> str:
    corners = zip(("xmin", "ymin", "xmax", "ymax"), item.box, strict=True)
    box = "".join(f"<{tag}>{value + 1:.10g}</{tag}>" for tag, value in corners)
    score = "" if item.score is None else f"<score>{item.score!r}</score>"
    difficult = int(item.difficult or item.crowd)
    return (
        f"  <object><name>{escape(item.name)}</name><difficult>{difficult}</difficult>"
        f"{score}<bndbox>{box}</bndbox></object>"
    )


def write_yolo(root: Path, dataset: Dataset, images: list[ExportImage], copy_images: bool) -> None:
    """Write the YOLO layout into an empty folder.

    A detection's score is the sixth number of its line. Difficult and crowd objects are omitted,
    since YOLO has no flag for them.
    """
    for image in images:
        file = label_file(root / "images" / dataset.split / f"{image.record.image_id}.jpg")
        file.parent.mkdir(parents=True, exist_ok=True)
        objects = (item for item in image.objects if not (item.difficult or item.crowd))
        file.write_text("".join(f"{_line(item, image)}\n" for item in objects), encoding="utf-8")
        if copy_images:
            copy_image(image, root / "images" / dataset.split)
    (root / "images" / dataset.split).mkdir(parents=True, exist_ok=True)
    (root / "data.yaml").write_text(_description(dataset), encoding="utf-8")


def _description(dataset: Dataset) -> str:
    """Return the content of data.yaml. A string in JSON is also a valid string in YAML."""
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
