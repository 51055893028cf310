"""The page that explains one image: its sections, the values of its templates, its data."""

from __future__ import annotations

import base64
import datetime
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import PIL.Image
from markupsafe import Markup

from frcnn_cli import __version__
from frcnn_cli.engine.pages.explain.sections.map import map_numbers
from frcnn_cli.engine.pages.explain.subject import Subject
from frcnn_cli.engine.pages.self_contained import assemble_page
from frcnn_cli.engine.records import BACKGROUND
from frcnn_proposals.base import Image
from frcnn_proposals.files import write_whole

PAGE = "index.html"
PHOTO_SIDE, PHOTO_QUALITY = 1000, 85  # longer side of the photo in pixels
STYLES = ("shared/base.css", "shared/tables.css", "shared/images.css", "explain.css")
SHARED_SCRIPTS = ("shared/theme.js", "shared/labels.js", "explain.js")


class Section(NamedTuple):
    """A section of the page: NAME.html.jinja and NAME.js in the folder page, and its numbers."""

    name: str
    title: str
    numbers: Callable[[Subject], dict[str, Any]]


# In the order of the page.
SECTIONS = (Section("map", "From image to map", map_numbers),)


def explain_subject(subject: Subject) -> dict[str, Any]:
    """All numbers of the page, as values of JSON: those of each section, by its name."""
    numbers = {"page": _page_numbers(subject)}
    return numbers | {section.name: section.numbers(subject) for section in SECTIONS}


def write_page(
    subject: Subject, numbers: dict[str, Any], folder: Path, model: str, source: str
) -> Path:
    """Write the page to `folder`, and return its path.

    numbers: of explain_subject. model, source: names of the model and of the proposals' source.
    """
    values = {
        "page": numbers["page"],
        "sections": SECTIONS,
        "numbers": _embedded(numbers),
        "photo": _photo(subject.image),
        "model": model,
        "source": source,
        "architecture": subject.model.architecture,
        "has_truth": subject.truth is not None,
        "made": f"Created by frcnn {__version__} on {datetime.date.today().isoformat()}",
    }
    scripts = (*SHARED_SCRIPTS, *(f"{section.name}.js" for section in SECTIONS))
    page = assemble_page(__package__, "explain.html.jinja", values, STYLES, scripts)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / PAGE, page.encode(errors="replace"))
    return folder / PAGE


def _page_numbers(subject: Subject) -> dict[str, Any]:
    """What the frame of the page shows: the image, its detections, the chosen proposals."""
    found, scores = subject.detections, subject.scores
    chosen = []
    for row, reason in zip(subject.chosen, subject.reasons, strict=True):
        label = int(scores[row, 1:].argmax()) + 1
        chosen.append(
            {
                "index": row,
                "box": _box(subject.proposals.boxes[row]),
                "kind": reason.kind,
                "label": subject.classes[label - 1],
                "score": round(float(scores[row, label]), 4),
                "object": _name(subject, reason.label),
                "iou": round(reason.iou, 3),
            }
        )
    return {
        "image": {
            "id": subject.image_id,
            "width": subject.image.shape[1],
            "height": subject.image.shape[0],
        },
        "classes": list(subject.classes),
        "classifier": subject.model.architecture.classifier,
        "proposals": len(subject.proposals),
        "detections": [
            {
                "box": _box(box),
                "label": subject.classes[label - 1],
                "score": round(float(score), 4),
            }
            for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True)
        ],
        "chosen": chosen,
    }


def _name(subject: Subject, label: int) -> str | None:
    return None if label == BACKGROUND else subject.classes[label - 1]


def _box(box: Any) -> list[float]:
    return [round(float(value), 1) for value in box]


def _embedded(numbers: dict[str, Any]) -> Markup:
    """The numbers as JSON that cannot end the element of a page that contains it."""
    text = json.dumps(numbers, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _photo(pixels: Image) -> str:
    """The image as a data URI, not larger than a page shows it."""
    image = PIL.Image.fromarray(pixels)
    image.thumbnail((PHOTO_SIDE, PHOTO_SIDE), PIL.Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=PHOTO_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
