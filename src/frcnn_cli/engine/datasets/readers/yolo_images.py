"""The images of the YOLO layout: those in folders, or in text files that list them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from frcnn_cli.engine.datasets.layout import Fault
from frcnn_cli.engine.datasets.listing import (
    Listed,
    ids_across_splits,
    is_image,
    is_visible,
    skipped_files,
)
from frcnn_cli.engine.datasets.readers.yolo_description import relocated
from frcnn_cli.engine.datasets.text_files import read_lines
from frcnn_proposals.errors import InputError
from frcnn_proposals.folders import files_below
from frcnn_proposals.image_ids import ids_of_paths, path_where_repeated


@dataclass(frozen=True)
class YoloImages:
    """The images of a dataset in `root`. sources: split -> image folders, or lists of images."""

    root: Path
    sources: Mapping[str, Sequence[Path]]

    @cached_property
    def by_split(self) -> dict[str, list[Listed]]:
        """The images of each split that has any. Raises InputError if none has."""
        splits = {split: listed for split in self.sources if (listed := self._in_sources(split))}
        if not splits:
            reasons = (
                f"{source} of split {split} {reason}"
                for split in self.sources
                for source, reason in [self._why_empty(split)]
            )
            raise InputError(f"{self.root}: {'; '.join(reasons)}")
        return ids_across_splits(self.root, splits)

    def omitted(self) -> dict[str, Fault]:
        """The splits without images."""
        return {
            split: Fault(source, f"{reason}: the split {split} is omitted", tolerated=True)
            for split in self.sources
            if split not in self.by_split
            for source, reason in [self._why_empty(split)]
        }

    def notes(self, split: str) -> Iterator[Fault]:
        """Folders of a split that do not exist, and files in them that are skipped."""
        for source in self.sources[split]:
            if not source.exists():
                yield Fault(self.root, f"{source} of split {split} does not exist")
            elif source.is_dir() and (skipped := skipped_files(source, files_below(source))):
                yield Fault(source, skipped, tolerated=True)

    def _why_empty(self, split: str) -> tuple[Path, str]:
        """A folder or list of a split without images, and what is wrong with it."""
        sources = self.sources[split]
        source = next((path for path in sources if not path.exists()), sources[0])
        return source, "contains no images" if source.exists() else "does not exist"

    def _in_sources(self, split: str) -> list[Listed]:
        """The ids and files of a split. The id of an image in a subfolder contains the subfolder.

        Where names repeat in a list or in two folders, the ids are the paths below the folder of
        the list, or below the folder that contains the two.
        """
        ids: dict[Path, str] = {}
        bases = []
        for source in self.sources[split]:
            if source.is_dir():
                paths = [path for path in sorted(map(Path, files_below(source))) if is_image(path)]
                names = ids_of_paths([path.relative_to(source).as_posix() for path in paths])
                bases.append(source)
            elif source.exists():
                listed = (_listed_image(source, line) for line in read_lines(source))
                paths = list(filter(is_visible, listed))
                names = [path.stem for path in paths]
                bases.append(source.parent)
            else:
                continue  # reported by notes()
            for path, name in zip(paths, names, strict=True):
                ids.setdefault(path, name)
        root = os.path.commonpath([base.absolute() for base in bases]) if bases else self.root
        return [(image_id, path) for path, image_id in path_where_repeated(ids, root).items()]


def _listed_image(file: Path, line: str) -> Path:
    """Return the image path in a line of a split's list."""
    if "\0" in line or not Path(line).name:
        raise InputError(f"{file}: {line[:100]!r} is not an image file name")
    return relocated(file.parent, line, [file.parent / line])
