"""Small JPEGs inside the page, as many as its size allows."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import PIL.Image

from frcnn_cli.engine.records import ImageRecord
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import read_image

SIDE = 500  # longer side in pixels
QUALITY = 72
BUDGET = 18_000_000  # bytes of all pictures in a page, as text


@dataclass(frozen=True)
class Thumbnail:
    """uri: the picture as a data URI. width, height: those of the image itself, in pixels."""

    uri: str
    width: int
    height: int


class Thumbnails:
    """Makes thumbnails until the budget is spent.

    left_out: how many pictures were refused since; unreadable: why others have none.
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self._left = budget
        self.left_out = 0
        self.unreadable: dict[str, str] = {}

    def of(self, record: ImageRecord, copies: int = 1) -> Thumbnail | None:
        """The image's thumbnail, to be put into the page `copies` times; None where it cannot
        be read or there is no room left."""
        try:
            thumbnail = _thumbnail(record)
        except InputError as error:
            self.unreadable[record.image_id] = str(error)
            return None
        size = copies * len(thumbnail.uri)
        if size > self._left:
            self.left_out += 1
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
