"""Boxes given by a corner or centre with width and height, as COCO and YOLO files have them."""

from __future__ import annotations

from pathlib import Path

from frcnn_cli.engine.datasets.layout import BORDER_TOLERANCE, Fault, Report, outside_by

Box = tuple[float, float, float, float]


def inclusive_box(
    path: Path,
    where: str,
    extent: Box,
    size: tuple[float | None, float | None],
    report: Report,
) -> Box | None:
    """x, y, width, height (continuous) as x1, y1, x2, y2 with inclusive corners.

    size: the image's width and height. Reported, and None returned: a box without area
    (tolerated: published files have some), one turned inside out, one that reaches more than
    BORDER_TOLERANCE outside. A smaller excess stays as it is, so that scores are those of
    other tools on the same file.
    """
    x, y, width, height = extent
    shown = f"{where}, box {x:g} {y:g} {width:g} {height:g}"
    if width < 0 or height < 0:
        report(Fault(path, f"{shown}: turned inside out"))
        return None
    if width == 0 or height == 0:
        report(Fault(path, f"{shown}: without area, left out", tolerated=True))
        return None
    box = (x, y, x + width - 1, y + height - 1)
    if outside_by(box, *size) > BORDER_TOLERANCE:
        report(Fault(path, f"{shown}: outside its {size[0]} x {size[1]} image"))
        return None
    return box
