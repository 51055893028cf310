"""The page that explains one image: from an image file to one HTML file."""

from __future__ import annotations

import base64
import copy
import datetime
import io
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import PIL.Image
from markupsafe import Markup

from frcnn_cli import __version__
from frcnn_cli.engine.detection.run import Detector
from frcnn_cli.engine.pages.explain.sections.field import field_numbers
from frcnn_cli.engine.pages.explain.sections.gradient import gradient_numbers
from frcnn_cli.engine.pages.explain.sections.heads import heads_numbers
from frcnn_cli.engine.pages.explain.sections.loss import loss_numbers
from frcnn_cli.engine.pages.explain.sections.map import map_numbers
from frcnn_cli.engine.pages.explain.sections.page import page_numbers
from frcnn_cli.engine.pages.explain.sections.pooling import pooling_numbers
from frcnn_cli.engine.pages.explain.sections.suppression import suppression_numbers
from frcnn_cli.engine.pages.explain.sections.svd import svd_numbers
from frcnn_cli.engine.pages.explain.subject import Subject, make_subject
from frcnn_cli.engine.pages.self_contained import assemble_page
from frcnn_cli.engine.proposals.source_calls import SourceCalls, clipped_message
from frcnn_cli.engine.records import GroundTruth, ImageRecord
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.files import write_whole
from frcnn_proposals.images import MAX_PIXELS, read_image
from frcnn_proposals.sources.call import SourceError
from frcnn_proposals.sources.precomputed import Precomputed

Numbers = Callable[[Subject], dict[str, Any]]

PAGE = "index.html"
# Name -> title and numbers, in the order of the page. A section has one name in four places:
# sections/NAME.py, page/NAME.html.jinja, page/NAME.js, and the key of its numbers.
SECTIONS: dict[str, tuple[str, Numbers]] = {
    "map": ("From image to map", map_numbers),
    "pooling": ("RoI pooling", pooling_numbers),
    "heads": ("The two heads", heads_numbers),
    "field": ("Why fine-tuning through pooling was impractical before", field_numbers),
    "loss": ("The loss", loss_numbers),
    "gradient": ("Backward through pooling", gradient_numbers),
    "suppression": ("Suppression", suppression_numbers),
    "svd": ("Truncated SVD", svd_numbers),
}
FRAME = "page"  # the numbers that all sections read
STYLES = ("shared/base.css", "shared/tables.css", "shared/images.css", "explain.css")
SHARED_SCRIPTS = ("shared/theme.js", "shared/labels.js", "drawing.js", "explain.js")
PHOTO_SIDE, PHOTO_QUALITY = 1000, 85  # longer side of the photo in pixels


class Explained(NamedTuple):
    """A written page. numbers: all that it shows, as values of JSON."""

    page: Path
    numbers: dict[str, Any]


def explain_file(
    detector: Detector,
    record: ImageRecord,
    folder: Path,
    max_pixels: int = MAX_PIXELS,
    reporter: Reporter = SILENT,
) -> Explained:
    """Write the page on an image file, with the ground truth of its record, if there is any."""
    pixels = read_image(record.path, max_pixels)
    with closing(SourceCalls(detector.source)) as propose:
        try:
            proposals = propose(record.image_id, pixels)
        except SourceError as error:
            raise InputError(f"{record.path}: {error}") from error
    if proposals.clipped:
        reporter.warn(clipped_message(detector.source.name, proposals.clipped))
    truth = record.truth
    return explain_image(detector, pixels, record.image_id, proposals, folder, truth, reporter)


def explain_image(
    detector: Detector,
    pixels: Image,
    image_id: str,
    proposals: Proposals,
    folder: Path,
    truth: GroundTruth | None = None,
    reporter: Reporter = SILENT,
) -> Explained:
    """Write the page on one RGB image, which the detector's network reads in float32.

    The network runs on the CPU: the page needs every intermediate value there.
    """
    loaded = detector.loaded
    model = loaded.model
    if model.offset_means.device.type != "cpu":
        model = copy.deepcopy(model).cpu()
    with reporter.progress("Explaining", 1 + len(SECTIONS)) as advance:
        subject = make_subject(model, pixels, proposals, detector.settings, truth, image_id)
        advance(1, image_id)
        numbers = explain_subject(subject, lambda name: advance(1, name))
    source = detector.source
    name = Path(source.file).name if isinstance(source, Precomputed) else source.name
    return Explained(write_page(subject, numbers, folder, loaded.short_name, name), numbers)


def explain_subject(
    subject: Subject, on_section: Callable[[str], None] = lambda name: None
) -> dict[str, Any]:
    """All numbers of the page as values of JSON: those of each section by its name.

    on_section: is called with the name of each finished section.
    """
    numbers = {FRAME: page_numbers(subject)}
    for name, (_, numbers_of) in SECTIONS.items():
        numbers[name] = numbers_of(subject)
        on_section(name)
    return numbers


def write_page(
    subject: Subject, numbers: dict[str, Any], folder: Path, model: str, source: str
) -> Path:
    """Write the page to `folder`, and return its path.

    numbers: of explain_subject. model, source: names of the model and of the proposals' source.
    """
    values = {
        "page": numbers[FRAME],
        "sections": {name: title for name, (title, _) in SECTIONS.items()},
        "numbers": _embedded(numbers),
        "photo": _photo(subject.image),
        "model": model,
        "source": source,
        "architecture": subject.model.architecture,
        "has_truth": subject.truth is not None,
        "made": f"Created by frcnn {__version__} on {datetime.date.today().isoformat()}",
    }
    scripts = (*SHARED_SCRIPTS, *(f"{name}.js" for name in SECTIONS))
    page = assemble_page(__package__, "explain.html.jinja", values, STYLES, scripts)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / PAGE, page.encode(errors="replace"))
    return folder / PAGE


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
