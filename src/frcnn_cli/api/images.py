"""Convert the caller's images and proposals to the engine's form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.checks import check_proposals
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.images import (
    MAX_PIXELS,
    ReducedImage,
    Reduction,
    decode_reduced,
    read_image_bytes,
    to_rgb,
    unreduced,
)
from frcnn_proposals.wording import counted

if TYPE_CHECKING:
    import PIL.Image

# A file, an array of uint8 in RGB (H, W, 3) or grey (H, W), or a Pillow image.
ImageLike = Union[str, Path, NDArray[Any], "PIL.Image.Image"]
# Boxes (N, 4), with or without scores.
Boxes = Proposals | ArrayLike
# By image id, as `read_proposals` returns them.
BoxesById = Mapping[str, Proposals]


def pixels_of(image: ImageLike, max_pixels: int = MAX_PIXELS) -> Image:
    """The pixels (H, W, 3) uint8, RGB, of an image at its full size: see reduced_image."""
    return reduced_image(image, max_pixels).pixels


def reduced_image(
    image: ImageLike | bytes,
    max_pixels: int = MAX_PIXELS,
    reduction: Reduction = unreduced,
    name: str = "",
) -> ReducedImage:
    """The pixels of a file, its bytes, an array or a Pillow image; only files are reduced.

    name: of bytes, for messages; without it, bytes are not an image.

    A file is turned upright by its EXIF orientation. A Pillow image is not turned: boxes are in the
    pixels of the given image. Raises MisuseError for anything else, and InputError if a file cannot
    be read.
    """
    if isinstance(image, str | Path):
        if not str(image):
            raise MisuseError("The path of the image is empty.")
        if Path(image).is_dir():
            raise MisuseError(
                f"{image}: is a folder. Give one image or a list of images;\n"
                "`detect_files` takes folders, globs, lists and datasets."
            )
        return decode_reduced(read_image_bytes(image), image, max_pixels, reduction)
    if isinstance(image, bytes) and name:
        return decode_reduced(image, name, max_pixels, reduction)
    if isinstance(image, np.ndarray):
        return _full(_rgb(image))
    import PIL.Image

    if isinstance(image, PIL.Image.Image):
        try:
            return _full(np.array(to_rgb(image), dtype=np.uint8))
        except ValueError as error:
            raise MisuseError(f"The Pillow image cannot be used: {error}.") from error
    raise MisuseError(
        f"An image is a path, a NumPy array or a Pillow image, not {type(image).__name__}.\n"
        "PIL.Image.open reads an open file; numpy.asarray converts a tensor."
    )


def image_id_of(image: ImageLike) -> str:
    """The id of an image: a file's name without suffix; empty for an array."""
    return Path(image).stem if isinstance(image, str | Path) else ""


def boxes_for(given: Boxes | BoxesById, image_id: str, size: tuple[int, int]) -> Proposals:
    """The given proposals of one image of `size` (width, height).

    given: the boxes, or a mapping from image id to boxes. Raises MisuseError if the id is missing,
    or a box is not inside the image.
    """
    if isinstance(given, Mapping):
        if image_id not in given:
            name = f"image id {image_id!r}" if image_id else "an image without a file name"
            raise MisuseError(f"The given proposals have no boxes for {name}.")
        given = given[image_id]
    if isinstance(given, str | Path):
        raise MisuseError(
            f"The given proposals cannot be used: '{given}' is text, not boxes. Read a file by "
            "read_proposals, or give its name to Detector.load(proposals=...)."
        )
    try:
        proposals = given if isinstance(given, Proposals) else Proposals(np.asarray(given))
        check_proposals(proposals, *size)
    except (ValueError, TypeError) as error:
        raise MisuseError(f"The given proposals cannot be used: {error}.") from error
    return proposals


def boxes_for_each(count: int, given: Sequence[Boxes] | BoxesById | None) -> list[Any]:
    """What `boxes_for` takes for each of `count` images. Raises MisuseError for another number."""
    if given is None or isinstance(given, Mapping):
        return [given] * count
    if not hasattr(given, "__len__"):
        raise MisuseError(
            "Proposals of several images must be a list or a mapping by image id, not "
            f"{type(given).__name__}."
        )
    if len(given) != count:
        images_need = counted(count, "image needs", "images need")
        raise MisuseError(f"{images_need} as many proposals, not {len(given)}.")
    return list(given)


def _full(pixels: Image) -> ReducedImage:
    return ReducedImage(pixels, 1, pixels.shape[1], pixels.shape[0])


def _rgb(image: NDArray[Any]) -> Image:
    is_grey = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1)
    is_rgb = image.ndim == 3 and image.shape[2] == 3
    if image.dtype != np.uint8 or not (is_grey or is_rgb) or image.size == 0:
        raise MisuseError(
            f"The image is an array of {image.dtype} with shape {image.shape}. Expected uint8 of "
            "shape (height, width, 3) in RGB,\nor (height, width) in grey. Give several images "
            "as a list."
        )
    if is_grey:
        image = np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    # torch warns of arrays that cannot be written, such as np.asarray of a Pillow image.
    return np.require(image, requirements=["C", "W"])
