"""Images that are truncated, false, huge, misnamed, or of an unusual kind."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
from corpus import BadInput, Ends, cuts, flips, written

DETECT = ("detect", "--model", "HOME/model.safetensors", "--source", "dense")
_SIDE = 48
_FORMATS = {
    "jpg": "JPEG",
    "png": "PNG",
    "bmp": "BMP",
    "gif": "GIF",
    "tif": "TIFF",
    "webp": "WEBP",
    "ppm": "PPM",
    "jp2": "JPEG2000",
    "avif": "AVIF",
}


def bad_images() -> Iterator[BadInput]:
    for suffix, kind in _FORMATS.items():
        whole = encoded(noise(), kind)
        for what, content in [*cuts(whole), *flips(whole, 3)]:
            yield image(f"{kind} {what}", f"a.{suffix}", content, "either")
        yield image(f"{kind} named .png", "a.png", whole, "result")
    for name, content in unreadable().items():
        yield image(name, "a.jpg", content)
    for name, content in huge().items():
        yield image(name, "a.png", content)
    for name, content in unusual().items():
        yield image(name, "a.png", content, "result")
    for name, content in beyond_eight_bits().items():
        yield image(name, "a.tif", content)
    yield from no_files()


def image(name: str, file: str, content: bytes, ends: Ends = "message") -> BadInput:
    return BadInput(f"image/{name}", written(file, content), (*DETECT, file), file, ends)


def noise(mode: str = "RGB", size: tuple[int, int] = (_SIDE, _SIDE)) -> PIL.Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return PIL.Image.fromarray(values).convert(mode)


def encoded(image: PIL.Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def unreadable() -> dict[str, bytes]:
    """Files of other kinds, for some of which Pillow would start other programs."""
    plain = noise()
    return {
        "text": b"not an image\n" * 20,
        "nulls": bytes(4096),
        "random bytes": np.random.default_rng(1).bytes(4096),
        "page": b"<!doctype html><title>404</title>",
        "drawing": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>',
        "EPS": encoded(plain, "EPS"),
        "PDF": encoded(plain, "PDF"),
        "icon": encoded(plain, "ICO"),
        "PCX": encoded(plain, "PCX"),
        "only the start of a JPEG": b"\xff\xd8\xff",
        "PNG without data": _png(8, 8, b""),
    }


def _png(width: int, height: int, data: bytes, depth: int = 8, colour: int = 2) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def huge() -> dict[str, bytes]:
    """Small files that claim to have, or really have, very many pixels."""
    most = 2**31 - 1
    zeros = zlib.compress(bytes(30001 * 300))
    jpeg = bytearray(encoded(noise(), "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", 65500, 65500)
    gif = bytearray(encoded(noise(), "GIF"))
    gif[6:10] = struct.pack("<HH", 65535, 65535)
    bmp = bytearray(encoded(noise(), "BMP"))
    bmp[18:26] = struct.pack("<ii", most, most)
    tiff = encoded(noise(), "TIFF").replace(
        struct.pack("<HHIHH", 256, 4, 1, _SIDE, 0), struct.pack("<HHII", 256, 4, 1, most)
    )
    return {
        "PNG of 2^31 x 2^31": _png(most, most, zeros),
        "PNG of 30000 x 30000": _png(30000, 30000, zeros),
        "PNG of 0 x 0": _png(0, 0, zeros),
        "PNG that claims 10001 x 10001 in grey": _png(10001, 10001, zeros, 1, 0),
        "JPEG of 65500 x 65500": bytes(jpeg),
        "GIF of 65535 x 65535": bytes(gif),
        "BMP of 2^31 x 2^31": bytes(bmp),
        "TIFF of 2^31 columns": tiff,
        "PPM of 10^9 x 10^9": b"P6 999999999 999999999 255\n" + bytes(300),
        "PPM of an endless number": b"P6 " + b"9" * 100_000,
        "PPM of -5 x 5": b"P6 -5 5 255\n" + bytes(300),
    }


def unusual() -> dict[str, bytes]:
    """Valid images that must have a result."""
    frames = [noise(), noise("L").convert("RGB"), noise()]
    animated = {"save_all": True, "append_images": frames[1:]}
    deep = PIL.Image.fromarray(np.arange(_SIDE**2, dtype=np.uint16).reshape(_SIDE, _SIDE) * 20)
    exif = PIL.Image.Exif()
    found = {
        "CMYK": encoded(noise("CMYK"), "JPEG"),
        "16 bits": encoded(deep, "PNG"),
        "grey": encoded(noise("L"), "PNG"),
        "1 bit": encoded(noise("1"), "PNG"),
        "alpha": encoded(noise("RGBA"), "PNG"),
        "grey and alpha": encoded(noise("LA"), "PNG"),
        "palette with a transparent colour": encoded(noise("P"), "PNG", transparency=3),
        "LAB": encoded(noise("LAB"), "TIFF"),
        "YCbCr": encoded(noise("YCbCr"), "TIFF"),
        "animated GIF": encoded(frames[0], "GIF", **animated),
        "animated PNG": encoded(frames[0], "PNG", **animated),
        "animated WebP": encoded(frames[0], "WEBP", **animated),
        "TIFF of three pages": encoded(frames[0], "TIFF", **animated),
        "1 x 1": encoded(noise(size=(1, 1)), "PNG"),
        "1 x 3000": encoded(noise(size=(1, 3000)), "PNG"),
        "3000 x 1": encoded(noise(size=(3000, 1)), "PNG"),
        "damaged EXIF": encoded(noise(), "JPEG", exif=b"Exif\0\0" + b"\xff" * 60),
        "one extra byte": encoded(noise(), "PNG") + b"!",
        "an extra megabyte": encoded(noise(), "JPEG") + bytes(1 << 20),
    }
    for orientation in range(10):
        exif[0x0112] = orientation
        found[f"EXIF orientation {orientation}"] = encoded(noise(), "JPEG", exif=exif)
    return found


def beyond_eight_bits() -> dict[str, bytes]:
    """Images with an unknown range of values."""
    values = np.linspace(-1e9, 1e9, _SIDE**2, dtype=np.float32).reshape(_SIDE, _SIDE)
    return {
        "floating point": encoded(PIL.Image.fromarray(values), "TIFF"),
        "32 bits": encoded(PIL.Image.fromarray(values.astype(np.int32)), "TIFF"),
    }


def no_files() -> Iterator[BadInput]:
    """Paths that are not images."""
    arguments = (*DETECT, "a.png")
    makes = {
        "a folder": lambda folder: (folder / "a.png").mkdir(),
        "nothing": lambda folder: None,
        "a link to nothing": lambda folder: (folder / "a.png").symlink_to("gone"),
        "a link to itself": lambda folder: (folder / "a.png").symlink_to("a.png"),
        "a link to /dev/zero": lambda folder: (folder / "a.png").symlink_to("/dev/zero"),
        "a pipe without a writer": lambda folder: os.mkfifo(folder / "a.png"),
    }
    for name, make in makes.items():
        yield BadInput(f"image/{name}", make, arguments, "a.png")
    for arguments in (("propose", ".", "--out", "o", "--workers", "1"), (*DETECT, ".")):
        name = f"image/a name that is not UTF-8, to {arguments[0]}"
        yield BadInput(name, _odd_name, arguments, "name is not valid UTF-8")
    long = "x" * 5000 + ".png"
    yield BadInput("image/a name of 5000 letters", _nothing, (*DETECT, long), "xxx")
    yield BadInput("image/a list of itself", _list_of_itself, (*DETECT, "a.txt"), "a.txt")
    nulls = written("b.txt", bytes(99))
    yield BadInput("image/a list of nulls", nulls, (*DETECT, "b.txt"), "b.txt")
    not_text = written("c.txt", b"\xff\xfd\xfa\n")
    yield BadInput("image/a list in an unknown encoding", not_text, (*DETECT, "c.txt"), "c.txt")


def _odd_name(folder: Path) -> None:
    with open(os.fsencode(folder) + b"/\xff\xfe\x1b[2J.png", "wb") as file:
        file.write(encoded(noise(), "PNG"))


def _nothing(folder: Path) -> None:
    """Leave the folder empty."""


def _list_of_itself(folder: Path) -> None:
    (folder / "a.txt").write_text("a.txt\n")
