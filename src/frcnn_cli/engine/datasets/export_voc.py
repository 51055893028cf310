"""The VOC layout: Annotations/<id>.xml with 1-based corners, and the split's list."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

from frcnn_cli.engine.datasets.export_records import ExportImage, ExportObject, copy_picture
from frcnn_cli.engine.datasets.lists import CLASSES_FILE
from frcnn_cli.engine.records import Dataset


def write_voc(root: Path, dataset: Dataset, images: list[ExportImage], pictures: bool) -> None:
    """Into an empty folder. A detection's <score> stands beside its <bndbox>; a crowd is
    difficult to VOC, which likewise leaves it out of account."""
    for image in images:
        file = root / "Annotations" / f"{image.record.image_id}.xml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(annotation_xml(image), encoding="utf-8")
        if pictures:
            copy_picture(image, root / "JPEGImages")
    (root / "JPEGImages").mkdir(exist_ok=True)
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    ids = "".join(f"{image.record.image_id}\n" for image in images)
    (lists / f"{dataset.split}.txt").write_text(ids, encoding="utf-8")
    names = "".join(f"{name}\n" for name in dataset.classes)
    (root / CLASSES_FILE).write_text(names, encoding="utf-8")


def annotation_xml(image: ExportImage) -> str:
    """One annotation file."""
    name = f"{image.record.image_id}{image.record.path.suffix}"
    size = f"<width>{image.width}</width><height>{image.height}</height><depth>3</depth>"
    lines = [
        "<annotation>",
        f"  <filename>{escape(name)}</filename>",
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
