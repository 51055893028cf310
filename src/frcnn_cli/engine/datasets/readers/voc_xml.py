"""Read a VOC annotation file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from frcnn_cli.engine.datasets.layout import (
    BORDER_TOLERANCE,
    Box,
    Fault,
    Report,
    box_in_image,
    clipped_to,
    outside_by,
    read_flag,
)
from frcnn_cli.engine.datasets.text_files import CLASSES_FILE
from frcnn_cli.engine.records import GroundTruth, ImageRecord
from frcnn_proposals.errors import InputError
from frcnn_proposals.reading import read_bytes

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_DECLARED = re.compile(rb"\s*<\?xml[^>]{,200}?encoding\s*=\s*[\"']([\w.-]{1,40})")
# Encodings of several bytes per character, which the parser lacks, with Python's names for them.
_ENCODINGS = {
    **dict.fromkeys(("gb2312", "gbk", "gb18030", "cp936"), "gb18030"),
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis", "cp932", "windows-31j"), "cp932"),
    **dict.fromkeys(("euc-kr", "ks_c_5601-1987", "cp949"), "cp949"),
    "big5": "big5",
    "euc-jp": "euc_jp",
}


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
    """A box of an <object>: the class name, 1-based inclusive corners and the difficult flag.

    number: that of the <object> in the file, from 1.
    """

    number: int
    name: str
    box: Box
    difficult: bool


def read_annotation(path: Path, report: Report) -> Annotation | None:
    """Read the file. Reports a fault and returns None if it is not readable.

    Entities and document types are rejected (defusedxml): annotations do not need them.
    """
    try:
        root = _parsed(read_bytes(path))
    # LookupError: the file declares an unknown encoding.
    except (ParseError, DefusedXmlException, OSError, ValueError, LookupError) as error:
        report(Fault(path, f"not a readable annotation ({_reason(error)})"))
        return None
    if root.tag.lower() != "annotation":
        report(Fault(path, f"not a VOC annotation: its root is <{root.tag[:40]}>"))
        return None
    objects = [
        item
        for number, element in enumerate(root.findall("object"), start=1)
        for item in _objects(path, number, element, report)
    ]
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

    Objects with an unknown class, an inverted box, or a box outside the image are reported and
    skipped. Corners outside the image are clipped, and reported.
    """
    boxes, labels, difficult = [], [], []
    for item in annotation.objects:
        where = f"object {item.number} ({item.name[:40]})"
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


def _checked_box(box: Box, annotation: Annotation, where: str, report: Report) -> Box | None:
    """Return the box, 0-based and clipped to its image, or None if it is invalid."""
    x1, y1, x2, y2 = box
    shown = f"{where}, box {x1:g} {y1:g} {x2:g} {y2:g}"
    if x2 < x1 or y2 < y1:
        report(Fault(annotation.path, f"{shown}: inverted (xmax < xmin or ymax < ymin)"))
        return None
    box = (x1 - 1, y1 - 1, x2 - 1, y2 - 1)
    size = (annotation.width, annotation.height)
    if 0 < outside_by(box, *size) <= BORDER_TOLERANCE:
        report(Fault(annotation.path, f"{shown}: corner 1 pixel outside, clipped", tolerated=True))
        return clipped_to(box, *size)
    return box_in_image(annotation.path, shown, box, size, report)


def _parsed(content: bytes) -> Element:
    """Parse a file, also if its declared encoding is wrong, or is one that the parser lacks."""
    root: Element
    try:
        root = fromstring(content, forbid_dtd=True)
    except DefusedXmlException:
        raise
    except (ParseError, ValueError, LookupError):
        text = _decoded(content)
        if text is None:
            raise
        root = fromstring(text, forbid_dtd=True)
    return root


def _decoded(content: bytes) -> str | None:
    """Decode a file by its content and declaration; None if both do not tell the encoding."""
    declaration = _DECLARED.match(content)
    if declaration is None:
        return None
    codec = _ENCODINGS.get(declaration[1].decode().lower())
    utf8, declared = _text(content, "utf-8-sig"), codec and _text(content, codec)
    # Short texts in these encodings can look like UTF-8, but not with characters of three bytes.
    if declared and utf8 and max(utf8) < "\u0800":
        return declared
    return utf8 or declared


def _text(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _objects(
    path: Path, number: int, element: Element, report: Report
) -> Iterator[AnnotatedObject]:
    """Yield an object for each <bndbox>: some tools write several into one <object>."""
    where = f"object {number}"
    name = (element.findtext("name") or "").strip()
    if not name or len(name.splitlines()) > 1:
        message = "its <name> has more than one line" if name else "it has no <name>"
        report(Fault(path, f"{where}: {message}"))
        return
    where = f"{where}: {name[:40]}"
    boxes = element.findall("bndbox")
    if not boxes:
        report(Fault(path, f"{where} has no <bndbox>"))
    flag = element.findtext("difficult")
    difficult = read_flag(path, f"object {number} ({name[:40]}): difficult", flag, report)
    for box in boxes:
        try:
            x1, y1, x2, y2 = (_number(box, corner) for corner in _CORNERS)
        except ValueError as error:
            report(Fault(path, f"{where} has {error}"))
            continue
        yield AnnotatedObject(number, name, (x1, y1, x2, y2), difficult)


def _number(box: Element, corner: str) -> float:
    text = box.findtext(corner)
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{corner} {(text or 'missing')[:40]!r}, not a number")
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
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:120]
