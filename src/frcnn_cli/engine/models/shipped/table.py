"""The table of models that users know by name; some of them are files of the package.

models.toml next to this file contains it, figures included.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frcnn_proposals.errors import MisuseError

FOLDER = Path(__file__).resolve().parent
DEFAULT = "voc"
_TABLE = FOLDER / "models.toml"


@dataclass(frozen=True)
class ListedModel:
    """A row of the table. A figure that has not been measured is None.

    command: creates the model. multiply_adds: per image with 2,000 proposals. map, ap, ap75: mAP
    (11-point), COCO AP at 0.50:0.95 and AP75, in percent. milliseconds, milliseconds_given: per
    image on two cores, from pixels and with given proposals. card: rows of the model card.
    """

    name: str
    summary: str
    backbone: str
    command: str
    bytes: int | None = None
    parameters: int | None = None
    multiply_adds: int | None = None
    map: float | None = None
    ap: float | None = None
    ap75: float | None = None
    milliseconds: float | None = None
    milliseconds_given: float | None = None
    card: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The model's file in the package, whether it exists or not."""
        return FOLDER / f"{self.name}.safetensors"

    @property
    def is_shipped(self) -> bool:
        """Whether the package contains the model."""
        return self.path.is_file()

    @property
    def size(self) -> int | None:
        """The bytes of its file."""
        return self.path.stat().st_size if self.is_shipped else self.bytes

    def to_json(self) -> dict[str, Any]:
        """All values; `bytes` of an existing file are its own."""
        row = {name: value for name, value in vars(self).items() if name != "card"}
        return {**row, "bytes": self.size, "shipped": self.is_shipped, "card": dict(self.card)}


def list_models() -> tuple[ListedModel, ...]:
    """All rows of the table, those of the package and others."""
    with open(_TABLE, "rb") as file:
        rows = tomllib.load(file)
    return tuple(ListedModel(name, **row) for name, row in rows.items())


def listed_model(name: str) -> ListedModel | None:
    """The row of this name; None if there is none."""
    return next((model for model in list_models() if model.name == name), None)


def shipped_path(name: str) -> Path | None:
    """The file of a listed model; None for another name.

    Raises MisuseError, with the command that creates it, for a model that is not in the package.
    """
    model = listed_model(name)
    if model is None or model.is_shipped:
        return None if model is None else model.path
    raise MisuseError(
        f"{name}: this model ({model.summary}) is not in the package. Its command is:\n"
        f"{model.command}"
    )


def default_path() -> Path | None:
    """The file of the model that is used if there is no run; None without such a file."""
    path = FOLDER / f"{DEFAULT}.safetensors"
    return path if path.is_file() else None


def shipped_name(path: Path) -> str | None:
    """The name of a model of the package by its file; None for any other file."""
    return path.stem if path.parent.resolve() == FOLDER else None


def display_name(path: Path) -> str:
    """What messages call a model file: the name of a model of the package, or the path."""
    return shipped_name(path) or str(path)


def beside(model: Path, name: str) -> Path:
    """The default file, called `name`, of what is created from a model.

    It is next to the model's file, or in the current folder for a model of the package.
    """
    return Path(name) if shipped_name(model) else model.with_name(name)
