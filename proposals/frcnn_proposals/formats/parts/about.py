"""The description of a folder of parts, and the list of its parts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from frcnn_proposals.errors import InputError
from frcnn_proposals.reading import read_utf8

ABOUT_FILE = "parts.json"
_FORMAT = "frcnn parts 1"
# Digest of what the results depend on, shard, number in the shard, digest of the ids, format.
PART_NAME = re.compile(r"part-([0-9a-f]{8})-(\d+of\d+)-\d{6,}-[0-9a-f]{8}\.(parquet|jsonl)")


@dataclass(frozen=True)
class About:
    """The description of the results in a folder.

    content: detections or proposals. classes: names of the labels 1..K. identity: JSON values that
    the results depend on.
    """

    content: str
    identity: Mapping[str, Any]
    classes: Sequence[str] = ()

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.to_json()).hexdigest()

    def to_json(self) -> bytes:
        """The content of the file ABOUT_FILE."""
        import orjson

        values = {"format": _FORMAT, **asdict(self)}
        return orjson.dumps(values, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n"

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the file ABOUT_FILE in a folder. Raises InputError if it is missing or invalid."""
        import orjson

        path = folder / ABOUT_FILE
        try:
            values = orjson.loads(read_utf8(path))
            if values.pop("format") != _FORMAT:
                raise ValueError("format")
            return cls(
                str(values["content"]), dict(values["identity"]), tuple(map(str, values["classes"]))
            )
        except FileNotFoundError as error:
            raise InputError(
                f"{path}: is missing. Copy it from the folder that the parts were written to."
            ) from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: does not describe parts of frcnn. Choose another folder."
            ) from error


def is_parts(path: Path) -> bool:
    """Whether a folder contains parts: it has their description, or at least one part."""
    try:
        About.read(path)
    except InputError:
        return bool(part_files(path))
    return True


def parts_of(path: Path, about: About) -> list[Path]:
    """The finished parts in a folder, in order of their names.

    Raises InputError if there is none, or if one has results of another model, source or setting.
    """
    files = part_files(path)
    if not files:
        raise InputError(f"{path}: contains no finished parts.")
    for file in files:
        if not file.name.startswith(f"part-{about.digest[:8]}-"):
            raise InputError(f"{file}: this part is of another model, source or setting.")
    return files


def part_files(path: Path) -> list[Path]:
    """The finished parts in a folder, in order of their names."""
    if not path.is_dir():
        return []
    return sorted(file for file in path.iterdir() if PART_NAME.fullmatch(file.name))
