"""Archives that are damaged or try to write outside their folder."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from frcnn_cli.engine.datasets.download.dataset import unpack
from frcnn_proposals.errors import InputError


def entry(name: str, content: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = ""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(content) if kind == tarfile.REGTYPE else 0
    return info, content


def archive_of(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return path


def test_files_and_folders_are_unpacked(tmp_path: Path) -> None:
    tar = archive_of(
        tmp_path / "a.tar",
        entry("top", kind=tarfile.DIRTYPE),
        entry("top/in/deep.txt", b"deep"),
        entry("./top/empty", b""),
    )
    sizes: list[int] = []
    unpack(tar, tmp_path / "out", sizes.append)
    assert (tmp_path / "out/top/in/deep.txt").read_bytes() == b"deep"
    assert (tmp_path / "out/top/empty").read_bytes() == b""
    assert sum(sizes) == 4


@pytest.mark.parametrize(
    ("info", "message"),
    [
        (entry("../out.txt"), "leads out"),
        (entry("a/../../out.txt"), "leads out"),
        (entry("/tmp/frcnn-absolute.txt"), "leads out"),
        (entry("a", kind=tarfile.SYMTYPE, link="/etc/passwd"), "neither"),
        (entry("a", kind=tarfile.LNKTYPE, link="../out.txt"), "neither"),
        (entry("a", kind=tarfile.CHRTYPE), "neither"),
        (entry("a", kind=tarfile.BLKTYPE), "neither"),
        (entry("a", kind=tarfile.FIFOTYPE), "neither"),
    ],
)
def test_entries_that_are_unsafe_are_rejected(
    tmp_path: Path, info: tuple[tarfile.TarInfo, bytes], message: str
) -> None:
    tar = archive_of(tmp_path / "a.tar", entry("first"), info, entry("a/last"))
    with pytest.raises(InputError, match=message):
        unpack(tar, tmp_path / "out")
    assert not (tmp_path / "out.txt").exists()
    assert {path.name for path in (tmp_path / "out").rglob("*")} == {"first"}


def test_sparse_files_are_rejected(tmp_path: Path) -> None:
    """A sparse file of a terabyte in an archive of a few kB."""
    info, _ = entry("huge", b"")
    info.pax_headers = {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "huge",
        "GNU.sparse.realsize": str(1 << 40),
    }  # fmt: skip
    content = b"1\n1099511627775\n1\n".ljust(512, b"\0") + b"x"
    info.size = len(content)
    tar = archive_of(tmp_path / "a.tar", (info, content))
    with pytest.raises(InputError, match="neither a plain file"):
        unpack(tar, tmp_path / "out")


def test_too_many_entries_are_rejected(tmp_path: Path) -> None:
    tar = archive_of(tmp_path / "a.tar", *(entry(f"{n}", b"") for n in range(5)))
    unpack(tar, tmp_path / "five", max_entries=5)
    with pytest.raises(InputError, match="too many entries"):
        unpack(tar, tmp_path / "four", max_entries=4)


def test_a_file_and_a_folder_of_the_same_name(tmp_path: Path) -> None:
    tar = archive_of(tmp_path / "a.tar", entry("a"), entry("a/b"))
    with pytest.raises(InputError, match="a file and a folder of the same name"):
        unpack(tar, tmp_path / "out")


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:700],
        lambda data: b"no tar at all" * 100,
        lambda data: b"",
    ],
)
def test_damaged_archives_are_errors(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    tar = archive_of(tmp_path / "a.tar", entry("a", b"x" * 2000), entry("b", b"y" * 2000))
    tar.write_bytes(damage(tar.read_bytes()))
    with pytest.raises(InputError, match=r"a\.tar: (is damaged|has too many)"):
        unpack(tar, tmp_path / "out")
