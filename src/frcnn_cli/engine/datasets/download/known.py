"""The datasets that can be downloaded, with the addresses of their archives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Archive:
    """A tar file: its name, its size in bytes and its SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Download:
    """A dataset whose archives together contain VOCdevkit/<folder>.

    splits: the splits that it must have after unpacking. mirrors: addresses of folders with the
    archives, tried in this order.
    """

    name: str
    folder: str
    splits: tuple[str, ...]
    archives: tuple[Archive, ...]
    mirrors: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all archives; unpacked, they take the same, since they are not compressed."""
        return sum(archive.size for archive in self.archives)


_OXFORD = "http://host.robots.ox.ac.uk/pascal/VOC"
_REDMON = "https://data.pjreddie.com/files"
VOC2007 = Download(
    "voc2007",
    "VOC2007",
    ("train", "val", "trainval", "test"),
    (
        Archive(
            "VOCtrainval_06-Nov-2007.tar",
            460_032_000,
            "7d8cd951101b0957ddfd7a530bdc8a94f06121cfc1e511bb5937e973020c7508",
        ),
        Archive(
            "VOCtest_06-Nov-2007.tar",
            451_020_800,
            "6836888e2e01dca84577a849d339fa4f73e1e4f135d312430c4856b5609b4892",
        ),
    ),
    (f"{_OXFORD}/voc2007", _REDMON),
)
# The annotations of VOC2012's test split are not public.
VOC2012 = Download(
    "voc2012",
    "VOC2012",
    ("train", "val", "trainval"),
    (
        Archive(
            "VOCtrainval_11-May-2012.tar",
            1_999_639_040,
            "e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
        ),
    ),
    (f"{_OXFORD}/voc2012", _REDMON),
)
DOWNLOADS = {download.name: download for download in (VOC2007, VOC2012)}
