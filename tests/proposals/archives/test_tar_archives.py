"""Tar archives as input: what is in them, hostile ones, and images read where they are."""

from __future__ import annotations

import gzip
import tarfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from called import frcnn as command
from tars import packed, picture

from frcnn_cli.engine.datasets.inputs import find_images
from frcnn_proposals.archives.tar import list_archive
from frcnn_proposals.errors import InputError
from frcnn_proposals.formats import read_proposals
from frcnn_proposals.formats.parts.about import part_files
from frcnn_proposals.formats.parts.files import read_part
from frcnn_proposals.images import image_digest, image_size, is_sixteen_bit_grey, read_image


def test_images_are_read_where_they_are(tmp_path: Path) -> None:
    long = "a/" + 30 * "long-" + "name"
    for format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        names = ["b.png", "./sub/c.PNG", "sub/c.json", ".hidden.png", "d"]
        names += [] if format == tarfile.USTAR_FORMAT else [f"{long}.png"]
        path = packed(
            tmp_path / f"{format}.tar",
            *((name, picture(seed)) for seed, name in enumerate(names)),
            ("folder.png", {"type": tarfile.DIRTYPE}),
            (".git/e.png", picture(6)),
            format=format,
        )
        found = find_images([str(path)])
        expected = ["b", "sub/c", *([long] if len(names) > 5 else [])]
        assert [image_id for image_id, _ in found] == expected
        for seed, (_, file) in zip((0, 1, 5), found, strict=False):
            (tmp_path / "one.png").write_bytes(picture(seed))
            np.testing.assert_array_equal(read_image(file), read_image(tmp_path / "one.png"))
            assert image_digest(file) == image_digest(tmp_path / "one.png")
            assert image_size(file) == (40, 30)
            assert not is_sixteen_bit_grey(file)
        assert list_archive(path).problem is None
    with pytest.raises(InputError, match="image file not found"):
        read_image(tmp_path / "0.tar/missing.png")
    with pytest.raises(InputError, match="an archive, not an image"):
        read_image(tmp_path / "0.tar")


def test_hostile_archives_are_named_and_the_rest_is_processed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shards = tmp_path / "shards"
    packed(shards / "000.tar", ("a.png", picture(0)), ("both.png", picture(1)))
    packed(shards / "001.tar", ("b.png", picture(2)), ("cut.png", picture(3)))
    cut = (shards / "001.tar").read_bytes()
    (shards / "001.tar").write_bytes(cut[: 512 + 512 * 8 + 700])
    (shards / "002.tar").write_bytes(b"no tar at all" * 100)
    packed(
        shards / "003.tar",
        ("link.png", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("hard.png", {"type": tarfile.LNKTYPE, "linkname": "c.png"}),
        ("../evil.png", picture(4)),
        ("/root.png", picture(5)),
        ("c.png", picture(6)),
        ("c.png", picture(7)),
        ("pipe.png", {"type": tarfile.FIFOTYPE}),
    )
    packed(shards / "004.tar", ("both.png", picture(8)), ("d.png", picture(9)))
    (shards / "005.tar").write_bytes(gzip.compress((shards / "000.tar").read_bytes()))
    (shards / "006.tar").touch()
    result = command(
        "propose", "shards/{000..007}.tar", "--source", "dense", "--out", "a.proposals"
    )
    assert result.exit_code == 1
    output = " ".join(result.output.split())
    assert sorted(read_proposals(tmp_path / "a.proposals")) == ["a", "b", "both", "c", "d"]
    for words in (
        "shards/001.tar: is damaged (unexpected end of data) after 1 file, and has members that",
        "not read: 'cut.png' (truncated)",
        "shards/002.tar: is not a tar archive (another format, or damaged)",
        "'link.png' (a link), 'hard.png' (a link), '../evil.png' (outside the archive) and 3 more",
        "shards/004.tar/both.png (first: shards/000.tar/both.png)",
        "shards/005.tar: is not a tar archive (it is compressed: decompress it)",
        "shards/006.tar: is not a tar archive (it is empty)",
        "shards/007.tar: image file not found",
    ):
        assert words in output
    assert not (tmp_path / "evil.png").exists()
    done = command("propose", "shards/*.tar", "--source", "dense", "--parts", "out")
    assert done.exit_code == 1
    rows = [row for part in part_files(Path("out")) for row in read_part(part)]
    assert {row.image_id for row in rows if row.error is None} == {"a", "b", "both", "c", "d"}
    assert {row.image_id for row in rows if row.error} == {
        f"shards/{number:03d}.tar" for number in (1, 2, 3, 5, 6)
    }


def test_an_archive_that_is_cut_anywhere(tmp_path: Path) -> None:
    """Every cut is noticed, also one between two members, and what is whole is read."""
    content = packed(
        tmp_path / "whole.tar", *((f"{n}.png", 100 * bytes([n])) for n in range(3))
    ).read_bytes()
    end = 3 * 1024
    for length in (
        1,
        511,
        512,
        513,
        1023,
        1024,
        1100,
        1536,
        2000,
        2048,
        2560,
        2600,
        end,
        end + 511,
    ):
        (tmp_path / f"{length}.tar").write_bytes(content[:length])
        archive = list_archive(tmp_path / f"{length}.tar")
        assert archive.problem is not None, length
        whole = sum(length >= 1024 * n + 512 + 100 for n in range(3))
        assert len(archive.members) == whole, length
    (tmp_path / "enough.tar").write_bytes(content[: end + 512])
    assert list_archive(tmp_path / "enough.tar").problem is None


def header(name: str, size: bytes, type: bytes = tarfile.REGTYPE) -> bytes:
    """A header with any bytes as its size."""
    entry = tarfile.TarInfo(name)
    entry.type = type
    block = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    block[124 : 124 + len(size)] = size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


NEGATIVE, HUGE = b"\xff" * 10 + b"\xf0\x00", b"\x80" + 6 * b"\0" + b"\x10" + 4 * b"\0"


@pytest.mark.parametrize("size", [NEGATIVE, HUGE, b"\x80" + 11 * b"\xff"])
@pytest.mark.parametrize(
    "type", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.GNUTYPE_SPARSE]
)
def test_false_sizes_take_neither_time_nor_memory(size: bytes, type: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    first = packed(path, ("a.png", picture(0))).read_bytes()[: 512 + 512 * 8]
    path.write_bytes(first + header("b.png", size, type) + (5 << 20) * b"\0")
    tracemalloc.start()
    started = time.process_time()
    archive = list_archive(path)
    assert time.process_time() - started < 5
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
    assert list(archive.members) == ["a.png"]
    assert archive.problem is not None


def test_an_archive_that_is_replaced(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.tar", ("a.png", picture(0)))
    assert list(list_archive(path).members) == ["a.png"]
    packed(path, ("b.png", picture(0)), ("c.png", picture(0)))
    assert list(list_archive(path).members) == ["b.png", "c.png"]


def test_images_in_archives_are_detected_in_as_in_a_folder(tmp_path: Path) -> None:
    entries = [(f"{n}.png", picture(n)) for n in range(3)]
    packed(tmp_path / "a.tar", *entries)
    (tmp_path / "folder").mkdir()
    for name, content in entries:
        (tmp_path / "folder" / name).write_bytes(content)
    files = []
    for number, source in enumerate(("a.tar", "folder")):
        files.append(tmp_path / f"{number}.json")
        result = command(
            "detect", tmp_path / source, "--model", "voc", "--source", "dense", "--json", files[-1],
            "--score-threshold", 0, "--viz", "--out", tmp_path / f"viz{number}",
        )  # fmt: skip
        assert result.exit_code == 0, result.output
    assert files[0].read_bytes() == files[1].read_bytes()
    assert len(files[0].read_bytes()) > 100
    assert len(list((tmp_path / "viz0").iterdir())) == 3
