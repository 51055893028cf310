"""Tables of detections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.shared.tables import FoldedTable, make_table
from frcnn_cli.engine.records import Detections
from frcnn_proposals.wording import first_of

_ROWS_PER_IMAGE = 10
_FEW_IMAGES = 3
_SOME_IMAGES = 50
_NAMED_CLASSES = 25


def detection_table(found: dict[str, Detections], classes: tuple[str, ...]) -> Table:
    """One row per detection of a few images, per image of some, or per class of many."""
    if len(found) > _SOME_IMAGES:
        return _class_table(found, classes)
    if len(found) > _FEW_IMAGES:
        return _image_table(found, classes)
    table = FoldedTable()
    table.add_column("image")
    table.add_column("class")
    for heading in ("score", "x1", "y1", "x2", "y2"):
        table.add_column(heading, justify="right")
    for image_id, detections in found.items():
        for index in range(min(len(detections), _ROWS_PER_IMAGE)):
            table.add_row(
                escape(image_id) if index == 0 else "",
                escape(classes[int(detections.labels[index]) - 1]),
                f"{detections.scores[index]:.2f}",
                *(f"{value:.0f}" for value in detections.boxes[index]),
            )
        if len(detections) > _ROWS_PER_IMAGE:
            table.add_row("", f"and {len(detections) - _ROWS_PER_IMAGE} more")
        if len(detections) == 0:
            table.add_row(escape(image_id), "no detections")
    return table


def nothing_found(
    best_rejected: float | None, threshold: float | None, classes: Sequence[str]
) -> str:
    """Lines for images without any detection: the highest score, and the requested classes.

    classes: of the model, or those of them that were requested.
    """
    sought = f"Classes that were looked for: {first_of(classes, _NAMED_CLASSES)}."
    if best_rejected is None or threshold is None:
        return f"No detections.\n{sought}"
    return (
        f"No detections: the highest score is {best_rejected:.3f}, below the threshold of "
        f"{threshold:g}. Lower it with --score-threshold.\n{sought}"
    )


def video_table(objects: Counter[str]) -> Table:
    """Detections per class, over all frames of a video."""
    rows = [(name, str(count)) for name, count in objects.most_common()]
    return make_table(None, ("class", "detections"), rows or [("no detections", "")])


def _image_table(found: dict[str, Detections], classes: tuple[str, ...]) -> Table:
    table = FoldedTable()
    table.add_column("image")
    table.add_column("objects")
    for image_id, detections in found.items():
        counts = Counter(classes[label - 1] for label in detections.labels.tolist())
        text = ", ".join(f"{count} {name}" for name, count in counts.most_common())
        table.add_row(escape(image_id), escape(text) or "-")
    return table


def _class_table(found: dict[str, Detections], classes: tuple[str, ...]) -> Table:
    """Detections per class, most first, and the number of images with one of the class."""
    counts: Counter[int] = Counter()
    images: Counter[int] = Counter()
    for detections in found.values():
        labels = detections.labels.tolist()
        counts.update(labels)
        images.update(set(labels))
    empty = sum(len(detections) == 0 for detections in found.values())
    rows = [
        (classes[label - 1], f"{count:,}", f"{images[label]:,}")
        for label, count in counts.most_common()
    ]
    if empty:
        rows.append(("no detections", "", f"{empty:,}"))
    return make_table(None, ("class", "detections", "images"), rows)
