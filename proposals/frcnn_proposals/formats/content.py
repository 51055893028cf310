"""The content of a proposal file, before its format is known."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal

from numpy.typing import NDArray

from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.formats.containers.mat import load_mat
from frcnn_proposals.formats.containers.mat73 import is_hdf5
from frcnn_proposals.formats.containers.npz import load_npz
from frcnn_proposals.formats.parts.about import is_parts
from frcnn_proposals.pickles.unpickle import load_pickle
from frcnn_proposals.reading import open_file, read_text, read_utf8
from frcnn_proposals.store.schema import is_store

Kind = Literal["store", "parts", "folder", "mat", "pickle", "json", "csv", "npz"]
_BY_SUFFIX: dict[str, Kind] = {".json": "json", ".csv": "csv", ".npz": "npz"}


@dataclass(frozen=True)
class Content:
    """A complete file in memory.

    value: the arrays by name (.mat, .npz), the object (pickle), the value (json), the text (.csv).
    folder: the one that was given, if the file is one of many.
    """

    path: Path
    kind: Kind
    value: Any = None
    folder: Path | None = None

    @property
    def name(self) -> PurePath:
        """The file's path below the folder, for ids of images; without a folder, its name."""
        return self.path.relative_to(self.folder or self.path.parent)

    def of(self, kind: Kind) -> Any:
        """The value if the file is of this kind, else None."""
        return self.value if self.kind == kind else None

    @property
    def variables(self) -> Mapping[str, NDArray[Any]]:
        """The variables of a .mat file; empty for other kinds."""
        return self.of("mat") or {}


def kind_of(path: Path) -> Kind:
    """The kind of a file, by its first bytes and suffix, or of a folder.

    Raises InputError if it is missing.
    """
    if path.is_dir():
        return "parts" if is_parts(path) else "folder"
    if not path.is_file():
        raise InputError(f"{path}: proposal file not found")
    if is_store(path):
        return "store"
    try:
        with open_file(path) as file:
            start = file.read(128)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    if is_hdf5(path) or start.startswith(b"MATLAB 5.0") or path.suffix.lower() == ".mat":
        return "mat"
    # Pickles of protocol 0 and 1 have no header, so only the suffix identifies them.
    if start[:1] == b"\x80" or path.suffix.lower() in (".pkl", ".pickle"):
        return "pickle"
    if path.suffix.lower() in _BY_SUFFIX:
        return _BY_SUFFIX[path.suffix.lower()]
    if start.startswith(b"PK\x03\x04"):
        return "npz"
    if start.removeprefix(BOM_UTF8).lstrip()[:1] in (b"{", b"["):
        return "json"
    raise InputError(
        f"{path}: is not a proposal file; supported are stores, .mat files, pickles, .json, .csv "
        "and .npz files, folders of .mat, .json or .npz files, and folders of parts"
    )


def load_content(path: Path, folder: Path | None = None) -> Content:
    """Read a single file safely, one of `folder` if given. Raises InputError, which names it."""
    kind = kind_of(path)
    load = _LOADERS.get(kind)
    return Content(path, kind, None if load is None else load(path), folder)


def _json_of(path: Path) -> Any:
    """The file's value. Raises InputError, which names the file, if it cannot be read.

    orjson limits the nesting and rejects NaN and infinity.
    """
    import orjson

    try:
        return orjson.loads(read_utf8(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise InputError(f"{path}: cannot be read as json ({reason(error)})") from error


def _text_of(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({reason(error)})") from error


_LOADERS: dict[Kind, Callable[[Path], Any]] = {
    "mat": load_mat,
    "pickle": load_pickle,
    "json": _json_of,
    "csv": _text_of,
    "npz": load_npz,
}


def describe(content: Content) -> str:
    """A short description of the content, for the message that the format is unknown."""
    value = content.value
    if content.kind == "mat":
        arrays = [f"{reason(name)} {array.dtype}{array.shape}" for name, array in value.items()]
        return f"a .mat file with {', '.join(arrays[:5]) or 'no variables'}"
    if content.kind == "csv":
        return f"a table that begins with {value[:60].splitlines()[:1]}"
    if content.kind == "npz":
        return f"an .npz file with {', '.join(list(value)[:5]) or 'no arrays'}"
    if content.kind == "json":
        return f"a json {type(value).__name__}"
    if isinstance(value, dict):
        keys = ", ".join(reason(repr(key)) for key in list(value)[:5])
        return f"a pickled dict with {len(value)} keys: {keys}"
    if isinstance(value, list):
        return f"a pickled list of {len(value)} items"
    return f"a pickled {type(value).__name__}"
