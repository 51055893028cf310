"""A folder with one file per image; each is read when it is requested."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from frcnn_proposals.base import Proposals, best_first
from frcnn_proposals.checks import check_proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.formats.base import Parsed, PerImageFormat
from frcnn_proposals.formats.content import load_content
from frcnn_proposals.formats.ids import Images
from frcnn_proposals.formats.interpret import Hints, Reading, decide, fault_of
from frcnn_proposals.formats.layout import BoxLayout, from_layout

# Number of files that determine the format. Each file is checked again when it is read.
_SAMPLE = 64
_SUFFIXES = (".mat", ".json", ".npz")


class FolderProposals(Mapping[str, Proposals]):
    """Boxes by image id. A file is read when its id is requested.

    Reading a file that does not have the folder's format raises InputError.
    """

    def __init__(self, files: Mapping[str, Path], reading: Reading, images: Images) -> None:
        self._files = files
        self._format = reading.format
        self._layout: BoxLayout = reading.layout
        self._images = images

    def __getitem__(self, image_id: str) -> Proposals:
        path = self._files[image_id]
        parsed = self._format.parse(load_content(path))
        if parsed is None:
            raise InputError(f"{path}: is not {self._format.name} like the folder's other files")
        fault = fault_of(parsed.boxes[0], self._layout, self._images.size(image_id))
        if fault is not None:
            raise InputError(f"{path}: {fault}")
        return proposals_of(path, image_id, parsed, self._layout, self._images)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, image_id: object) -> bool:
        return image_id in self._files


def proposals_of(
    path: Path, image_id: str, parsed: Parsed, layout: BoxLayout, images: Images, index: int = 0
) -> Proposals:
    """A table of a file as proposals, best first. Raises InputError if a box is invalid."""
    scores = None if parsed.scores is None else parsed.scores[index]
    table, scores = best_first(parsed.boxes[index], scores)
    try:
        found = Proposals(from_layout(table, layout), scores)
        check_proposals(found, *(images.size(image_id) or (None, None)))
    except ValueError as error:
        raise InputError(f"{path}: image {image_id}: {error}") from error
    return found


def box_files(folder: Path) -> list[Path]:
    """The .mat files in a folder and its subfolders, sorted; else the .json, else the .npz files.

    Hidden files and folders are skipped. Raises InputError if no files remain.
    """
    files = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(root) / name for name in names if not name.startswith(".")]
    for suffix in _SUFFIXES:
        if found := sorted(path for path in files if path.suffix == suffix):
            return found
    raise InputError(f"{folder}: contains no .mat, .json or .npz files, so no proposals")


def spread(files: list[Path]) -> list[Path]:
    """A sample of the files, evenly spread; all files if there are few."""
    return files[:: max(1, len(files) // _SAMPLE)]


def sample_reading(folder: Path, files: list[Path], hints: Hints, images: Images) -> Reading:
    """How to read the files of a folder, determined from a sample of them."""
    contents = [load_content(path, folder) for path in spread(files)]
    readings = decide(contents, hints, images)
    if not isinstance(readings[0].format, PerImageFormat):
        raise InputError(f"{files[0]}: contains many images; pass this file, not its folder")
    return readings[0]
