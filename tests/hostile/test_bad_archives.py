"""Archives with paths outside their folder, false sizes or truncation write nothing outside."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from corpus import cuts, flips

from frcnn_cli.engine.datasets.download.dataset import unpack
from frcnn_proposals.errors import InputError

pytestmark = pytest.mark.hostile

Entry = tuple[str, bytes, dict[str, object]]


def packed(*entries: Entry, format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar file of these entries: name, content, and other values of the header."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as tar:
        for name, content, header in entries:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            for key, value in header.items():
                setattr(entry, key, value)
            tar.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def plain(name: str, content: bytes = b"x") -> Entry:
    return name, content, {}


def special(name: str, kind: bytes, target: str = "") -> Entry:
    return name, b"", {"type": kind, "linkname": target}


def false_size(size: int) -> bytes:
    """An archive with a changed size in its header, and a correct checksum."""
    archive = bytearray(packed(plain("a")))
    field = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    archive[124:136] = field
    archive[148:156] = b" " * 8
    archive[148:156] = b"%06o\0 " % sum(archive[:512])
    return bytes(archive)


GOOD = packed(plain("a/b.txt", b"whole" * 200), plain("a/c.txt"))
BAD = {
    "a path with ../": packed(plain("../out")),
    "a path with ../ within": packed(plain("a/../../out")),
    "an absolute path": packed(plain("/tmp/frcnn-out")),
    "an absolute path of two slashes": packed(plain("//tmp/frcnn-out")),
    "the folder above": packed(("..", b"", {"type": tarfile.DIRTYPE})),
    "a long path with ../": packed(plain("a/" * 200 + "../" * 300 + "out")),
    "a link to the outside": packed(special("a", tarfile.SYMTYPE, "/etc/passwd")),
    "a link to the folder above": packed(special("a", tarfile.SYMTYPE, ".."), plain("a/out")),
    "a hard link to the outside": packed(special("a", tarfile.LNKTYPE, "/etc/passwd")),
    "a hard link to a link": packed(
        special("a", tarfile.SYMTYPE, ".."), special("b", tarfile.LNKTYPE, "a")
    ),
    "a device": packed(special("a", tarfile.CHRTYPE)),
    "a disk": packed(special("a", tarfile.BLKTYPE)),
    "a pipe": packed(special("a", tarfile.FIFOTYPE)),
    "a sparse file": packed(special("a", tarfile.GNUTYPE_SPARSE)),
    "an unknown kind": packed(special("a", b"Z")),
    "a size of 2^33 - 1": false_size(8**11 - 1),
    "a size of 2^80": false_size(2**80),
    "a file as a folder": packed(plain("a"), plain("a/b")),
    "a folder as a file": packed(("a/b", b"", {"type": tarfile.DIRTYPE}), plain("a/b")),
    "more entries than allowed": packed(*(plain(f"{number}", b"") for number in range(1001))),
    "not an archive": b"not an archive at all" * 100,
    "a gzip": b"\x1f\x8b\x08\0" + bytes(600),
    "nothing": b"",
}
# Some of these are still valid, because the end marker is longer than required.
EITHER = dict([*cuts(GOOD), *flips(GOOD[:2048], 20)])


@pytest.mark.parametrize("name", [*BAD, *EITHER])
def test_nothing_is_written_outside_the_folder(
    name: str, tmp_path: Path, count: dict[str, str]
) -> None:
    content = BAD[name] if name in BAD else EITHER[name]
    archive, into = tmp_path / "a.tar", tmp_path / "in" / "here"
    archive.write_bytes(content)
    into.mkdir(parents=True)
    ended = outcome(lambda: unpack(archive, into, max_entries=1000), archive)
    assert ended == "message" or name in EITHER
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar", "in"}
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["here"]
    assert not Path("/tmp/frcnn-out").exists()
    assert not any(path.is_symlink() or path.is_fifo() for path in into.rglob("*"))
    count[hashlib.sha256(content).hexdigest()] = ended


def outcome(work: Callable[[], None], archive: Path) -> str:
    try:
        work()
    except InputError as error:
        lines = str(error).splitlines()
        return "message" if str(archive) in lines[0] and len(lines) <= 3 else str(error)
    return "result"
