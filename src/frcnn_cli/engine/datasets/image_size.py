"""The size of a picture from its header alone."""

from __future__ import annotations

from pathlib import Path

import PIL.Image

from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.images import FORMATS
from frcnn_proposals.reading import open_file

_ORIENTATION = 0x0112
_ON_ITS_SIDE = (5, 6, 7, 8)


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, as the image stands upright by its EXIF orientation.

    Raises InputError, naming the file, where it is no readable picture.
    """
    try:
        formats = [name for name in FORMATS if name != "AVIF"]
        with open_file(path) as file, PIL.Image.open(file, formats=formats) as image:
            width, height = image.size
            turned = image.getexif().get(_ORIENTATION) in _ON_ITS_SIDE
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a readable picture ({reason(error)})") from error
    return (height, width) if turned else (width, height)
