"""A folder of parts: what is to be written there, and what is there already.

A part has the results of some images. Its name depends only on the work: on what the results depend
on, on the shard, and on the ids of its images. So every process that resumes the work, by any
engine, finds the parts that another one has finished.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from frcnn_cli.engine.distributed.shard import Shard
from frcnn_cli.engine.parts.rows import Item
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.files import check_writable, whole_file
from frcnn_proposals.formats.parts.about import ABOUT_FILE, PART_NAME, About, part_files
from frcnn_proposals.formats.parts.files import (
    PartFormat,
    check_format,
    damaged,
    is_complete,
    read_errors,
    write_part,
)
from frcnn_proposals.formats.parts.row import Row
from frcnn_proposals.wording import first_of

DEFAULT_SIZE = 500  # images of a part
_ANOTHER = "Choose another folder."


class Part(NamedTuple):
    """Images whose results are in one file."""

    name: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class PartFolder:
    """The parts of some work. path: the folder; parts: all of them, finished or not."""

    path: Path
    parts: tuple[Part, ...]

    def is_finished(self, part: Part) -> bool:
        return (self.path / part.name).exists()

    def errors_in(self, part: Part) -> list[str]:
        """The messages of the images that failed in a finished part."""
        return read_errors(self.path / part.name)

    def write(self, part: Part, rows: Sequence[Row]) -> None:
        """Write a part, unless another process has finished the same one meanwhile."""
        path = self.path / part.name
        try:
            write_part(path, rows)
        except InputError:
            if not path.exists():
                raise

    def remove_unfinished(self, parts: Iterable[Part]) -> None:
        """Remove what killed processes left of `parts`, now finished, and of the description.

        It reads the whole folder, which can have the parts of all machines: call it once.
        """
        starts = {f".{name[:50]}" for name in (ABOUT_FILE, *(part.name for part in parts))}
        for left in self.path.glob(".part*.partial"):
            if left.name.removesuffix(".partial").rpartition(".")[0] in starts:
                left.unlink(missing_ok=True)


def open_folder(
    path: Path,
    about: About,
    items: Sequence[Item],
    format: PartFormat,
    shard: Shard | None = None,
    size: int = DEFAULT_SIZE,
) -> PartFolder:
    """Divide `items` into parts of up to `size` images, and prepare the folder for them.

    shard: which share of all images these are; None is all of them. Raises MisuseError, before
    anything is written, if the folder contains results of something else: of another model, of
    other images, in another format, or divided otherwise. Raises InputError for a damaged part of
    this share; those of the others are left to the machines that write them.
    """
    check_format(format)
    check_writable(path / ABOUT_FILE)
    share = (shard or Shard(1, 1)).label
    start = f"part-{about.digest[:8]}-{share}-"
    parts = []
    for number, first in enumerate(range(0, len(items), size)):
        chosen = tuple(items[first : first + size])
        ids = hashlib.sha256(about.digest.encode())
        for item in chosen:
            ids.update(item.name.encode() + b"\0")
        parts.append(Part(f"{start}{number:06d}-{ids.hexdigest()[:8]}.{format}", chosen))
    folder = PartFolder(path, tuple(parts))
    _check(folder, about, format, share)
    if not (path / ABOUT_FILE).exists():
        try:
            with whole_file(path / ABOUT_FILE, replaces=False) as file:
                file.write(about.to_json())
        except InputError:
            # Another machine may write the same file at the same time.
            if not (path / ABOUT_FILE).exists():
                raise
    _check_about(path, about)
    return folder


def _check(folder: PartFolder, about: About, format: PartFormat, share: str) -> None:
    path = folder.path
    found = part_files(path)
    if (path / ABOUT_FILE).exists():
        _check_about(path, about)
    elif found:
        raise MisuseError(f"{path}: contains parts, but no {ABOUT_FILE}. {_ANOTHER}")
    planned = {part.name for part in folder.parts}
    for file in found:
        match = PART_NAME.fullmatch(file.name)
        assert match is not None
        digest, other, suffix = match.groups()
        if digest != about.digest[:8]:
            problem = "is of another model, source or setting"
        elif other.partition("of")[2] != share.partition("of")[2]:
            problem = f"is of --shard {other.replace('of', '/')}, another division of the images"
        elif suffix != format:
            problem = f"is not of --format {format}"
        elif other == share and file.name not in planned:
            problem = "has other images, or belongs to another --part-size"
        elif other == share and not is_complete(file):
            raise damaged(file, "its end is missing")
        else:
            continue
        raise MisuseError(f"{file}: this part {problem}. {_ANOTHER}")


def _check_about(path: Path, about: About) -> None:
    """Raise MisuseError if the folder is for other results."""
    stored = About.read(path)
    if stored.to_json() == about.to_json():
        return
    if stored.content != about.content:
        differing = [f"content: {stored.content}"]
    else:
        differing = _differing(stored.identity, orjson.loads(about.to_json())["identity"])
    raise MisuseError(
        f"{path}: contains results that differ in {first_of(differing or ['classes'], 5)}. "
        f"{_ANOTHER}"
    )


def _differing(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The names of the values that differ, such as model, or settings.precision."""
    names = []
    for name in sorted({*stored, *wanted}):
        one, two = stored.get(name), wanted.get(name)
        if isinstance(one, dict) and isinstance(two, dict):
            names += [f"{name}.{inner}" for inner in _differing(one, two)]
        elif one != two:
            names.append(name)
    return names
