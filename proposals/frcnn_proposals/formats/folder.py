"""A folder with one file per image; each is read when it is requested."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.formats.base import PerImageFormat
from frcnn_proposals.formats.content import load_content
from frcnn_proposals.formats.interpret import Hints, ImageSize, Reading, decide, fault_of
from frcnn_proposals.formats.layout import BoxLayout, from_layout

# Number of files that determine the format. Each file is checked again when it is read.
_SAMPLE = 64
_SUFFIXES = (".mat", ".json", ".npz")


class FolderProposals(Mapping[str, Proposals]):
    """Boxes by image id. A file is read when its id is requested.

    Reading a file that does not have the folder's format raises InputError.
    """

    def __init__(
        self, files: Mapping[str, Path], reading: Reading, size_of: ImageSize | None
    ) -> None:
        self._files = files
        self._format = reading.format
        self._layout: BoxLayout = reading.layout
        self._size_of = size_of

    def __getitem__(self, image_id: str) -> Proposals:
        path = self._files[image_id]
        parsed = self._format.parse(load_content(path))
        if parsed is None:
            raise InputError(f"{path}: is not {self._format.name} like the folder's other files")
        size = None if self._size_of is None else self._size_of(image_id)
        fault = fault_of(parsed.boxes[0], self._layout, size)
        if fault is not None:
            raise InputError(f"{path}: {fault}")
        boxes = from_layout(parsed.boxes[0], self._layout)
        return Proposals(boxes, None if parsed.scores is None else parsed.scores[0])

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._files


def box_files(folder: Path) -> list[Path]:
    """The .mat files in a folder and its subfolders, sorted; else the .json, else the .npz files.

    Raises InputError if there are none.
    """
    files = [Path(root) / name for root, _, names in os.walk(folder) for name in names]
    for suffix in _SUFFIXES:
        if found := sorted(path for path in files if path.suffix == suffix):
            return found
    raise InputError(f"{folder}: contains no .mat, .json or .npz files, so no proposals")


def spread(files: list[Path]) -> list[Path]:
    """A sample of the files, evenly spread; all files if there are few."""
    return files[:: max(1, len(files) // _SAMPLE)]


def sample_reading(files: list[Path], hints: Hints, size_of: ImageSize | None) -> Reading:
    """How to read the files of a folder, determined from a sample of them."""
    contents = [load_content(path) for path in spread(files)]
    readings = decide(contents, hints, size_of)
    if not isinstance(readings[0].format, PerImageFormat):
        raise InputError(f"{files[0]}: contains many images; pass this file, not its folder")
    return readings[0]
