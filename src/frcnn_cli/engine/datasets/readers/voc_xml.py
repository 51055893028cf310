"""Read a VOC annotation file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from frcnn_cli.engine.datasets.layout import BORDER_TOLERANCE, Fault, Report, outside_by
from frcnn_cli.engine.datasets.text_files import CLASSES_FILE
from frcnn_cli.engine.records import GroundTruth, ImageRecord
from frcnn_proposals.errors import InputError
from frcnn_proposals.reading import read_bytes

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class Annotation:
    """The unchecked content of one file. Boxes are 1-based."""

    path: Path
    width: int | None
    height: int | None
    filename: str | None
    objects: tuple[AnnotatedObject, ...]


@dataclass(frozen=True)
class AnnotatedObject:
    """An <object>: its class name, 1-based inclusive corners and its difficult flag."""

    name: str
    box: tuple[float, float, float, float]
    difficult: bool


def read_annotation(path: Path, report: Report) -> Annotation | None:
    """Read the file. Reports a fault and returns None if it is not readable.

    Entities and document types are rejected (defusedxml): annotations do not need them.
    """
    try:
        root = fromstring(read_bytes(path), forbid_dtd=True)
    # LookupError: the file declares an unknown encoding.
    except (ParseError, DefusedXmlException, OSError, ValueError, LookupError) as error:
        report(Fault(path, f"not a readable annotation ({_reason(error)})"))
        return None
    if root.tag != "annotation":
        report(Fault(path, f"not a VOC annotation: its root is <{root.tag[:40]}>"))
        return None
    objects = []
    for number, element in enumerate(root.findall("object"), start=1):
        try:
            objects.append(_object(element))
        except ValueError as error:
            report(Fault(path, f"object {number}: {error}"))
    return Annotation(
        path,
        _length(root, "size/width"),
        _length(root, "size/height"),
        root.findtext("filename"),
        tuple(objects),
    )


def ground_truth(
    annotation: Annotation, label_of: Mapping[str, int], report: Report
) -> GroundTruth:
    """Return the annotation's objects with 0-based boxes. label_of: class name -> label, 1..K.

    Objects with an unknown class, an inverted box, or a corner more than BORDER_TOLERANCE
    outside the image are reported and skipped. Corners less far outside are clipped.
    """
    boxes, labels, difficult = [], [], []
    for number, item in enumerate(annotation.objects, start=1):
        where = f"object {number} ({item.name[:40]})"
        if item.name not in label_of:
            known = ", ".join(label_of)
            report(Fault(annotation.path, f"{where}: unknown class; the classes are {known}"))
            continue
        box = _checked_box(item.box, annotation, where, report)
        if box is not None:
            boxes.append(box)
            labels.append(label_of[item.name])
            difficult.append(item.difficult)
    return GroundTruth(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        np.array(difficult, bool),
    )


def annotated_image(
    image_id: str,
    path: Path,
    annotation: Annotation | None,
    label_of: Mapping[str, int],
    report: Report,
) -> ImageRecord:
    """Return the record of an image, without ground truth if `annotation` is None."""
    if annotation is None:
        return ImageRecord(image_id, path)
    truth = ground_truth(annotation, label_of, report)
    return ImageRecord(image_id, path, annotation.width, annotation.height, truth)


def classes_of(annotations: Iterable[Annotation | None], root: Path) -> tuple[str, ...]:
    """Return the class names in the annotations, sorted."""
    names = {item.name for file in annotations if file is not None for item in file.objects}
    if not names:
        raise InputError(
            f"{root}: the annotations contain no class; list the classes in {CLASSES_FILE}"
        )
    return tuple(sorted(names))


def _checked_box(
    box: tuple[float, float, float, float], annotation: Annotation, where: str, report: Report
) -> tuple[float, float, float, float] | None:
    """Return the box, 0-based and clipped to its image, or None if it is invalid."""
    x1, y1, x2, y2 = box
    shown = f"{where}, box {x1:g} {y1:g} {x2:g} {y2:g}"
    if x2 < x1 or y2 < y1:
        report(Fault(annotation.path, f"{shown}: inverted (xmax < xmin or ymax < ymin)"))
        return None
    box = (x1 - 1, y1 - 1, x2 - 1, y2 - 1)
    outside = outside_by(box, annotation.width, annotation.height)
    if outside > BORDER_TOLERANCE:
        size = f"{annotation.width} x {annotation.height} image"
        report(Fault(annotation.path, f"{shown}: outside its {size}"))
        return None
    if outside > 0:
        report(Fault(annotation.path, f"{shown}: corner 1 pixel outside, clipped", tolerated=True))
    right = math.inf if annotation.width is None else annotation.width - 1
    bottom = math.inf if annotation.height is None else annotation.height - 1
    return max(box[0], 0), max(box[1], 0), min(box[2], right), min(box[3], bottom)


def _object(element: Element) -> AnnotatedObject:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise ValueError("it has no <name>")
    if len(name.splitlines()) > 1:
        raise ValueError("its <name> has more than one line")
    box = element.find("bndbox")
    if box is None:
        raise ValueError(f"{name[:40]} has no <bndbox>")
    x1, y1, x2, y2 = (_number(box, corner, name) for corner in _CORNERS)
    difficult = (element.findtext("difficult") or "0").strip()
    return AnnotatedObject(name, (x1, y1, x2, y2), difficult not in ("0", ""))


def _number(box: Element, corner: str, name: str) -> float:
    text = box.findtext(corner)
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name[:40]} has {corner} {(text or 'missing')[:40]!r}, not a number")
    return value


def _length(root: Element, path: str) -> int | None:
    """Return a size in pixels; None if it is missing (some tools write 0)."""
    try:
        value = int(float(root.findtext(path) or 0))
    except (ValueError, OverflowError):
        return None
    return value if value > 0 else None


def _reason(error: Exception) -> str:
    if isinstance(error, DefusedXmlException):
        return "document types and entities are not supported"
    return " ".join(str(error).split())[:120]
