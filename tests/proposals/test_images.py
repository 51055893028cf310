"""The image reader, tested with files of known pixels."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import tracemalloc
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from frcnn_proposals.errors import InputError
from frcnn_proposals.images import (
    SUFFIXES,
    ReducedImage,
    decode_reduced,
    image_digest,
    image_size,
    is_sixteen_bit_grey,
    read_image,
    read_image_bytes,
)

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    PIL.Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm"])
def test_lossless_pixels_are_unchanged(tmp_path, suffix):
    image = read_image(save(tmp_path / f"a.{suffix}", RGB))
    np.testing.assert_array_equal(image, RGB)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert image.flags.writeable


# The upright image for each orientation of the stored one (EXIF 2.3, 4.6.4 A).
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: a.transpose(1, 0, 2)[::-1],
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", RGB, exif=exif)
    image = read_image(path)
    np.testing.assert_array_equal(image, UPRIGHT[orientation](RGB))
    assert image_size(path) == (image.shape[1], image.shape[0])


def test_damaged_exif_is_ignored(tmp_path):
    path = tmp_path / "a.png"
    PIL.Image.fromarray(RGB).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(read_image(path), RGB)


def test_grey_is_repeated(tmp_path):
    image = read_image(save(tmp_path / "a.png", RGB[:, :, 0]))
    np.testing.assert_array_equal(image, RGB[:, :, :1].repeat(3, axis=2))


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    grey = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    image = read_image(save(tmp_path / "a.png", grey))
    np.testing.assert_array_equal(image[0, :, 0], [0, 0, 1, 128, 255])


@pytest.mark.parametrize(
    ("low", "high"), [(2900, 3200), (51241, 52181), (0, 4095), (0, 16383), (40000, 40001)]
)
def test_a_narrow_range_of_sixteen_bits_keeps_its_contrast(tmp_path, low, high):
    values = np.linspace(low, high, 200).round().astype(np.uint16).reshape(10, 20)
    expected = np.interp(values, [low, high], [0, 255]).round()
    for suffix in ("png", "tif"):
        image = read_image(save(tmp_path / f"a.{suffix}", values))
        assert is_sixteen_bit_grey(tmp_path / f"a.{suffix}")
        assert (image == image[:, :, :1]).all()
        # Halves round up here, and to the even number in NumPy.
        np.testing.assert_allclose(image[:, :, 0], expected, atol=1)
        assert len(np.unique(image)) > min(150, high - low)


@pytest.mark.parametrize(("low", "high"), [(0, 16384), (3000, 3000)])
def test_a_wide_or_empty_range_of_sixteen_bits_is_not_stretched(tmp_path, low, high):
    image = read_image(save(tmp_path / "a.png", np.array([[low, high]], np.uint16)))
    np.testing.assert_array_equal(image[0, :, 0], [low // 256, high // 256])


def test_only_headers_of_sixteen_bit_grey_are_recognised(tmp_path):
    (tmp_path / "a.txt").write_text("not an image")
    assert not is_sixteen_bit_grey(tmp_path / "a.txt")
    assert not is_sixteen_bit_grey(tmp_path / "absent.png")
    assert not is_sixteen_bit_grey(save(tmp_path / "a.png", RGB[:, :, 0]))


def test_transparent_pixels_are_white(tmp_path):
    rgba = np.dstack((RGB, np.full(RGB.shape[:2], 255, np.uint8)))
    rgba[0, 0] = (10, 20, 30, 0)
    image = read_image(save(tmp_path / "a.png", rgba))
    np.testing.assert_array_equal(image[0, 0], [255, 255, 255])
    np.testing.assert_array_equal(image[1:], RGB[1:])


def test_palette_and_its_transparency(tmp_path):
    image = PIL.Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([200, 100, 50, 1, 2, 3])
    image.save(tmp_path / "a.png", transparency=1)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0], [[200, 100, 50], [255] * 3])


def test_cmyk_jpeg(tmp_path):
    # No ink is white; full cyan has no red.
    cmyk = np.zeros((16, 16, 4), np.uint8)
    cmyk[:, 8:, 0] = 255
    PIL.Image.fromarray(cmyk, "CMYK").save(tmp_path / "a.jpg", quality=100)
    image = read_image(tmp_path / "a.jpg").astype(int)
    assert image[:, :4].min() > 245
    assert image[:, 12:, 0].max() < 10
    assert image[:, 12:, 1:].min() > 245


def test_the_first_frame_of_an_animation_is_read(tmp_path):
    frames = [PIL.Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif")[0, 0], [255, 0, 0])


def truncated(path: Path) -> None:
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)).save(
        buffer, format="jpeg"
    )
    path.write_bytes(buffer.getvalue()[:-500])


UNREADABLE = {
    "text": lambda path: path.write_text("not an image"),
    "empty": lambda path: path.write_bytes(b""),
    "truncated": truncated,
    "folder": lambda path: path.mkdir(),
    "missing": lambda path: None,
    "postscript": lambda path: path.write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    ),
}


@pytest.mark.parametrize("fault", UNREADABLE)
def test_unreadable_files_are_named(tmp_path, fault):
    path = tmp_path / "image.jpg"
    UNREADABLE[fault](path)
    with pytest.raises(InputError, match=r"image\.jpg"):
        read_image(path)


def test_postscript_is_not_opened(tmp_path):
    """Otherwise the message would be about Ghostscript, which may not be installed."""
    UNREADABLE["postscript"](tmp_path / "a.eps")
    with pytest.raises(InputError, match="not a known image format"):
        read_image(tmp_path / "a.eps")


def test_too_many_pixels_are_rejected_before_decoding(tmp_path):
    path = save(tmp_path / "a.png", np.zeros((100, 100, 3), np.uint8))
    with pytest.raises(InputError, match="100 x 100 pixels"):
        read_image(path, max_pixels=9999)
    # An image that claims to be enormous exceeds Pillow's own limit first.
    PIL.Image.new("1", (15000, 15000)).save(tmp_path / "b.png")
    with pytest.raises(InputError, match="pixels"):
        read_image(tmp_path / "b.png")


def test_digest_is_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert image_digest(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def test_real_photograph(shared_data):
    path = shared_data / "fast-rcnn-demo" / "000004.jpg"
    image = read_image(path)
    assert image.shape[1::-1] == image_size(path)
    assert image.shape[2] == 3


def test_a_small_file_needs_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x" * 5000)
    tracemalloc.start()
    try:
        assert read_image_bytes(path) == b"x" * 5000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def test_jpeg_under_its_other_suffixes(tmp_path: Path) -> None:
    first = PIL.Image.new("RGB", (8, 6), (200, 30, 30))
    first.save(tmp_path / "a.jfif", format="JPEG")
    # Two images in one file, as stereo cameras and telephones write it.
    second = PIL.Image.new("RGB", (8, 6), (30, 30, 200))
    first.save(tmp_path / "b.MPO", format="MPO", save_all=True, append_images=[second])
    for path in tmp_path.iterdir():
        assert path.suffix.lower() in SUFFIXES
        assert image_size(path) == (8, 6)
        assert np.abs(read_image(path).astype(int) - (200, 30, 30)).max() < 8


def test_heif_is_read_if_its_package_is_installed(tmp_path: Path) -> None:
    path = tmp_path / "a.heic"
    if importlib.util.find_spec("pillow_heif") is None:
        path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500))
        for read in (read_image, image_size):
            with pytest.raises(InputError, match="pip install pillow-heif"):
                read(path)
        assert ".heic" not in SUFFIXES
        return
    importlib.import_module("pillow_heif").register_heif_opener()
    PIL.Image.new("RGB", (80, 64), (200, 30, 30)).save(path)
    assert image_size(path) == (80, 64)
    assert read_image(path).shape == (64, 80, 3)
    assert np.abs(read_image(path).astype(int) - (200, 30, 30)).max() < 8
    assert ".heic" in SUFFIXES


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpegs_are_decoded_at_a_reduced_size(
    tmp_path: Path, factor: int, orientation: int, mode: str
) -> None:
    """Each pixel is about the mean of factor x factor pixels of the whole image."""
    y, x = np.mgrid[:48, :80]
    smooth = np.stack([x * 3, y * 5, 250 - x - y], axis=2).astype(np.uint8)
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.jpg"
    PIL.Image.fromarray(smooth).convert(mode).save(path, quality=95, exif=exif)
    whole = read_image(path)
    found = decode_reduced(path.read_bytes(), path, reduction=lambda width, height: factor)
    assert (found.factor, found.width, found.height) == (factor, whole.shape[1], whole.shape[0])
    height, width = whole.shape[0] // factor, whole.shape[1] // factor
    means = whole.reshape(height, factor, width, factor, 3).mean(axis=(1, 3))
    assert found.pixels.shape == means.shape
    assert np.abs(found.pixels - means).mean() < 2


def test_formats_without_a_reduced_size_are_decoded_whole(tmp_path: Path) -> None:
    data = save(tmp_path / "a.png", RGB).read_bytes()
    found = decode_reduced(data, "a.png", reduction=lambda width, height: 4)
    assert (found.factor, found.width, found.height) == (1, 7, 5)
    np.testing.assert_array_equal(found.pixels, RGB)


def test_boxes_in_pixels_of_the_original() -> None:
    """21 x 13 reduced by 8 has 3 x 2 pixels; the last ones are cut at the border."""
    image = ReducedImage(np.zeros((2, 3, 3), np.uint8), 8, 21, 13)
    boxes = np.array([[0, 0, 2, 1], [1, 0, 1, 0], [0.5, 1, 1.25, 1]], np.float32)
    expected = [[0, 0, 20, 12], [8, 0, 15, 7], [4, 8, 17, 12]]
    assert image.original(boxes).tolist() == expected


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_of_rotated_and_mirrored_files(tmp_path: Path, orientation: int, factor: int) -> None:
    """A bright rectangle of whole 8 x 8 blocks is found at the same edges as without reduction."""
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    stored = np.zeros((43, 61), np.uint8)  # no multiple of 2, so one border has partial pixels
    stored[8:24, 16:40] = 255
    path = tmp_path / "a.jpg"
    PIL.Image.fromarray(stored).save(path, quality=95, exif=exif)
    found = decode_reduced(path.read_bytes(), path, reduction=lambda width, height: factor)
    assert found.factor == factor
    box = found.original(bright_box(found.pixels))
    np.testing.assert_array_equal(box, bright_box(read_image(path)))
    height, width = found.pixels.shape[:2]
    everything = np.array([[0, 0, width - 1, height - 1]], np.float32)
    assert found.original(everything).tolist() == [[0, 0, found.width - 1, found.height - 1]]


def bright_box(pixels: np.ndarray) -> np.ndarray:
    y, x = np.nonzero(pixels[..., 0] > 127)
    return np.array([[x.min(), y.min(), x.max(), y.max()]], np.float32)
