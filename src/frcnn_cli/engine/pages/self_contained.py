"""Self-contained pages: styles, scripts and images in one HTML file.

Any package with a folder `page` of templates can assemble its page here, and use the files in
this package's folder `shared`.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jinja2
import PIL.Image
from markupsafe import Markup, escape

from frcnn_cli.engine.records import ImageRecord
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import read_image

SIDE = 500  # longer side in pixels
QUALITY = 72
BUDGET = 18_000_000  # bytes of all images in a page, base64-encoded


def assemble_page(
    package: str,
    template: str,
    values: Mapping[str, Any],
    styles: Sequence[str],
    scripts: Sequence[str],
) -> str:
    """Render a self-contained HTML document from a template in the package's `page` folder.

    values: the template's variables; all are escaped. styles, scripts: files of that folder, or
    shared/NAME. The page's content security policy allows only its own style, script and
    embedded images.
    """
    shared = jinja2.PackageLoader(__package__, "shared")
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(package, "page"), jinja2.PrefixLoader({"shared": shared})]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = lambda number: f"{number:,}"
    environment.filters["breakable"] = breakable
    css, script = _joined(package, styles), _joined(package, scripts)
    return environment.get_template(template).render(
        **values, css=Markup(css), script=Markup(script), policy=_policy(css, script)
    )


def breakable(name: str) -> Markup:
    """The escaped name, in which lines may break after the separators of settings and paths."""
    return Markup(re.sub(r"(?<=\w)[/._-](?=[^\W\d])", r"\g<0><wbr>", str(escape(name))))


def _joined(package: str, names: Sequence[str]) -> str:
    """The concatenated text of these files; shared/NAME is in this package."""
    texts = []
    for name in names:
        folder = files(__package__) if name.startswith("shared/") else files(package) / "page"
        texts.append((folder / name).read_text(encoding="utf-8"))
    return "\n" + "\n".join(texts)


def _policy(css: str, script: str) -> str:
    return (
        f"default-src 'none'; img-src data:; style-src '{_digest(css)}'; "
        f"script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@dataclass(frozen=True)
class Thumbnail:
    """A shrunken image. uri: a data URI. width, height: of the original image, in pixels."""

    uri: str
    width: int
    height: int


class Thumbnails:
    """Creates thumbnails until the size budget is spent.

    omitted: number of thumbnails that exceeded the budget. unreadable: error messages by image.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self._left = budget
        self.omitted = 0
        self.unreadable: dict[str, str] = {}

    def of(self, record: ImageRecord, copies: int = 1) -> Thumbnail | None:
        """The image's thumbnail, which the page will contain `copies` times.

        None if the image cannot be read or the budget is exceeded.
        """
        try:
            thumbnail = _thumbnail(record)
        except InputError as error:
            self.unreadable[record.image_id] = str(error)
            return None
        size = copies * len(thumbnail.uri)
        if size > self._left:
            self.omitted += 1
            return None
        self._left -= size
        return thumbnail


def _thumbnail(record: ImageRecord) -> Thumbnail:
    image = PIL.Image.fromarray(read_image(record.path))
    width, height = image.size
    image.thumbnail((SIDE, SIDE), PIL.Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    text = base64.b64encode(buffer.getvalue()).decode()
    return Thumbnail(f"data:image/jpeg;base64,{text}", width, height)
