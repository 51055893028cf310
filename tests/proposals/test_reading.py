"""Text files as editors on Windows write them."""

import codecs
from pathlib import Path

import pytest

from frcnn_proposals.reading import read_text, read_utf8, text_lines

TEXT = "größe\r\n猫"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
    ],
)
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path, content):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    assert read_text(path) == TEXT
    assert read_utf8(path) == TEXT.encode()


def test_other_encodings_are_an_error(tmp_path):
    path = tmp_path / "a.txt"
    for content in ("größe".encode("latin-1"), codecs.BOM_UTF16_LE + b"\x00"):
        path.write_bytes(content)
        with pytest.raises(UnicodeDecodeError):
            read_text(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lines_are_those_of_the_whole_text(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "lines.txt"
    for text in ("", "a", "a\n", "\na\r\n\r\nb\rc\n", "\u00e9\u4e2d\u0a0d\n\n3"):
        path.write_bytes(text.encode(encoding))
        assert list(text_lines(path)) == text.splitlines()
    names = ["a\u2028b", "a\u0085b", "a\x0b1\x0c2\x1c3"]
    path.write_bytes("\r\n".join(names).encode(encoding))
    assert list(text_lines(path)) == names
    path.write_bytes(b"a\n\xff\xfd\n")
    with pytest.raises(UnicodeDecodeError):
        list(text_lines(path))
