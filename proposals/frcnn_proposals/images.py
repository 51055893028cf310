"""The only reader of image files: Pillow, upright, 8-bit RGB.

Pillow is imported when the first image is read, so that importing this module is fast.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.archives.tar import read_member
from frcnn_proposals.base import Image
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.reading import open_file

if TYPE_CHECKING:
    import PIL.Image

MAX_PIXELS = 100_000_000
MAX_BYTES = 1 << 30
NARROW_RANGE = 1 << 14  # of 16-bit grey values: a quarter of all, 64 levels of 8 bits
_ADVICE = (
    "scale the image down, or raise the limit (--max-pixels of `frcnn propose` and `frcnn detect`)"
)
# Formats that Pillow decodes itself (its EPS reader, for example, starts Ghostscript), and HEIF,
# which the package pillow-heif decodes.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF", "HEIF")
_SUFFIXES = (
    ".jpg .jpeg .jpe .jfif .mpo .png .bmp .gif .tif .tiff .webp .jp2 .ppm .pgm .pbm .pnm .avif"
)
_HEIF_SUFFIXES = (".heic", ".heif")
_HAS_HEIF = importlib.util.find_spec("pillow_heif") is not None
SUFFIXES = frozenset((*_SUFFIXES.split(" "), *(_HEIF_SUFFIXES if _HAS_HEIF else ())))

_EXIF_ORIENTATION = 0x0112
# Pillow's name of the operation that turns each EXIF orientation upright; 1 is upright.
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_SIDEWAYS = (5, 6, 7, 8)
# The orientations whose upright image has the end of the stored rows or columns at its left, top.
_FLIPS_X, _FLIPS_Y = (2, 3, 6, 7), (3, 4, 7, 8)

# A function from the width and height of an image to the factor by which a JPEG file of this size
# is reduced while it is decoded: 1, 2, 4 or 8.
Reduction = Callable[[int, int], int]


def unreduced(width: int, height: int) -> int:
    """The reduction that decodes every image at its full size."""
    return 1


@dataclass(frozen=True)
class ReducedImage:
    """An image that may have been decoded at a reduced size.

    pixels: (h, w, 3) uint8. factor: each pixel covers factor x factor pixels of the original, less
    in the last column and row, or for some EXIF orientations in the first ones. width, height: of
    the original. missing: the pixels that the first column and row lack, as (x, y).
    """

    pixels: Image
    factor: int
    width: int
    height: int
    missing: tuple[int, int] = (0, 0)

    def original(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes (N, 4) in pixels of the original, from boxes in these pixels."""
        if self.factor == 1:
            return boxes
        to_edges = np.array([0, 0, 1, 1], np.float32)
        last = np.array([self.width - 1, self.height - 1] * 2, np.float32)
        first = np.array(self.missing * 2, np.float32)
        corners = (boxes + to_edges) * np.float32(self.factor) - to_edges - first
        return np.asarray(np.clip(corners, 0, last), np.float32)


def read_image(path: str | Path, max_pixels: int = MAX_PIXELS) -> Image:
    """The pixels of an image file: (H, W, 3) uint8, RGB, turned upright by its EXIF orientation.

    Grey, palette, CMYK and 16-bit files are converted to 8-bit RGB (see to_rgb), transparent pixels
    are blended with white, and only the first frame of an animation is read.
    Raises InputError, which names the file, if it is missing, unreadable, truncated or too large.
    """
    return decode_image(read_image_bytes(path), path, max_pixels)


def image_size(path: str | Path) -> tuple[int, int]:
    """(width, height) of the pixels that read_image returns, read from the file's header only.

    Raises InputError, which names the file, if the header cannot be read.
    """
    import PIL.Image

    try:
        with _opened(path) as file, PIL.Image.open(file, formats=_available_formats()) as image:
            width, height = image.size
            return (height, width) if _orientation(image) in _SIDEWAYS else (width, height)
    except InputError:
        raise
    except Exception as error:  # as in decode_image
        raise InputError(f"{path}: cannot be read as an image ({_reason(error, path)})") from error


def is_sixteen_bit_grey(path: str | Path) -> bool:
    """Whether the header of an image file announces 16-bit grey; False if it cannot be read."""
    import PIL.Image

    try:
        with _opened(path) as file, PIL.Image.open(file, formats=_available_formats()) as image:
            return image.mode.startswith("I")
    except Exception:  # as in decode_image, which reports the error
        return False


def image_digest(path: str | Path) -> str:
    """SHA-256 of the file's bytes, in hexadecimal. Raises InputError like read_image."""
    return digest_of(read_image_bytes(path))


def digest_of(data: bytes) -> str:
    """SHA-256 of `data`, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def read_image_bytes(path: str | Path) -> bytes:
    """The bytes of a file of up to MAX_BYTES, also of one in a tar archive (ARCHIVE.tar/NAME).

    Raises InputError, which names the file.
    """
    try:
        if (data := read_member(path, MAX_BYTES + 1)) is None:
            with _opened_file(path) as file:
                # read() allocates the requested size, even if the file is shorter.
                size = os.fstat(file.fileno()).st_size
                data = file.read(min(size, MAX_BYTES) + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    if len(data) > MAX_BYTES:
        raise InputError(f"{path}: is larger than {MAX_BYTES >> 20} MiB; scale the image down")
    return data


def _opened(path: str | Path) -> IO[bytes]:
    """The file of an image, or its bytes in a tar archive."""
    member = read_member(path, MAX_BYTES)
    return _opened_file(path) if member is None else io.BytesIO(member)


def _opened_file(path: str | Path) -> IO[bytes]:
    if not Path(path).exists():
        raise InputError(f"{path}: image file not found")
    if not Path(path).is_file():
        raise InputError(f"{path}: is not a file; pass the images inside it")
    return open_file(path)


def decode_image(data: bytes, name: str | Path, max_pixels: int = MAX_PIXELS) -> Image:
    """Decode the bytes of an image file like read_image. `name` is used in messages."""
    return decode_reduced(data, name, max_pixels).pixels


def decode_reduced(
    data: bytes,
    name: str | Path,
    max_pixels: int = MAX_PIXELS,
    reduction: Reduction = unreduced,
) -> ReducedImage:
    """Decode the bytes of an image file, a JPEG file at the size that `reduction` chooses.

    libjpeg then decodes fewer coefficients of each block, which takes less time and memory. Errors
    are those of read_image.
    """
    import PIL.Image

    if PIL.Image.MAX_IMAGE_PIXELS is not None:
        # Pillow itself rejects images of more than twice this limit.
        PIL.Image.MAX_IMAGE_PIXELS = max(PIL.Image.MAX_IMAGE_PIXELS, max_pixels)
    try:
        with warnings.catch_warnings():
            # The size is checked below; other warnings do not help the user.
            warnings.simplefilter("ignore")
            with PIL.Image.open(io.BytesIO(data), formats=_available_formats()) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise InputError(
                        f"{name}: {width} x {height} pixels are over the limit of {max_pixels}; "
                        f"{_ADVICE}"
                    )
                factor = reduction(width, height)
                # Formats without scaled decoding ignore this.
                if factor > 1 and image.draft(None, (width // factor, height // factor)) is None:
                    factor = 1
                image.load()
                orientation = _orientation(image)
                if orientation in _SIDEWAYS:
                    width, height = height, width
                pixels = np.array(to_rgb(_upright(image)), dtype=np.uint8)
                missing = (
                    (factor * pixels.shape[1] - width) * (orientation in _FLIPS_X),
                    (factor * pixels.shape[0] - height) * (orientation in _FLIPS_Y),
                )
                return ReducedImage(pixels, factor, width, height, missing)
    except InputError:
        raise
    except PIL.Image.DecompressionBombError as error:  # more than twice the limit
        raise InputError(
            f"{name}: has far more pixels than the limit of {max_pixels}; {_ADVICE}"
        ) from error
    # Pillow's decoders raise many kinds of errors for a damaged file.
    except Exception as error:
        raise InputError(
            f"{name}: cannot be read as an image ({_reason(error, name)}); replace or remove it"
        ) from error


def _available_formats() -> list[str]:
    """The members of FORMATS that this build of Pillow supports."""
    import PIL.Image

    if _HAS_HEIF and "HEIF" not in PIL.Image.OPEN:
        importlib.import_module("pillow_heif").register_heif_opener()
    PIL.Image.init()
    return [name for name in FORMATS if name in PIL.Image.OPEN]


def _upright(image: PIL.Image.Image) -> PIL.Image.Image:
    from PIL.Image import Transpose

    method = _UPRIGHT.get(_orientation(image))
    return image if method is None else image.transpose(Transpose[method])


def _orientation(image: PIL.Image.Image) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # the pixels are usable even if the EXIF block is damaged
        return 1


def to_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """An image of any mode in 8-bit RGB. Raises ValueError if its range is not known.

    16-bit grey values lose their lower 8 bits. If they span less than NARROW_RANGE, as those of
    12-bit sensors and thermal cameras do, they are stretched instead: the lowest becomes 0, the
    highest 255.
    """
    import PIL.Image

    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range")
    if image.mode.startswith("I"):
        # 16-bit grey: Pillow's own conversion would clip values at 255.
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("its pixels need more than 16 bits")
        low, span = int(values.min()), int(values.max()) - int(values.min())
        if 0 < span < NARROW_RANGE:
            values = ((values.astype(np.int64) - low) * 255 + span // 2) // span
        else:
            values = values >> 8
        return PIL.Image.fromarray(values.astype(np.uint8)).convert("RGB")
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        colour = image.convert("RGBA")
        white = PIL.Image.new("RGBA", image.size, "white")
        return PIL.Image.alpha_composite(white, colour).convert("RGB")
    return image.convert("RGB")


def _reason(error: Exception, name: str | Path) -> str:
    import PIL.Image

    if isinstance(error, PIL.UnidentifiedImageError):
        if not _HAS_HEIF and Path(name).suffix.lower() in _HEIF_SUFFIXES:
            return "HEIF files require pillow-heif: pip install pillow-heif"
        return "not a known image format"
    if isinstance(error, PIL.Image.DecompressionBombError):
        return "far too many pixels"
    return reason(error)
