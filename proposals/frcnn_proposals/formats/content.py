"""What a proposal file holds before anyone has said which format it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.formats.containers.mat import load_mat
from frcnn_proposals.formats.containers.mat73 import is_hdf5
from frcnn_proposals.formats.containers.npz import load_npz
from frcnn_proposals.pickles.unpickle import load_pickle
from frcnn_proposals.reading import open_file, read_bytes, read_text
from frcnn_proposals.store.schema import is_store

Kind = Literal["store", "folder", "mat", "pickle", "json", "csv", "npz"]
_BY_SUFFIX: dict[str, Kind] = {".json": "json", ".csv": "csv", ".npz": "npz"}


@dataclass(frozen=True)
class Content:
    """A file read whole.

    value: of .mat and .npz files the arrays by name, of a pickle the object, of json the value, of
    .csv the text.
    """

    path: Path
    kind: Kind
    value: Any = None

    def of(self, kind: Kind) -> Any:
        """The value of a file of that kind; None for other kinds."""
        return self.value if self.kind == kind else None

    @property
    def variables(self) -> Mapping[str, NDArray[Any]]:
        """A .mat file's variables; none for other kinds."""
        return self.of("mat") or {}


def kind_of(path: Path) -> Kind:
    """What kind of file `path` is, by its first bytes. Raises InputError if it is missing."""
    if path.is_dir():
        return "folder"
    if not path.is_file():
        raise InputError(f"{path}: no such proposal file")
    if is_store(path):
        return "store"
    try:
        with open_file(path) as file:
            start = file.read(128)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    if is_hdf5(path) or start.startswith(b"MATLAB 5.0") or path.suffix == ".mat":
        return "mat"
    # From protocol 2 on a pickle says so; before, only its name does.
    if start[:1] == b"\x80" or path.suffix in (".pkl", ".pickle"):
        return "pickle"
    if path.suffix.lower() in _BY_SUFFIX:
        return _BY_SUFFIX[path.suffix.lower()]
    if start.startswith(b"PK\x03\x04"):
        return "npz"
    if start.lstrip()[:1] in (b"{", b"["):
        return "json"
    raise InputError(
        f"{path}: is no proposal file; those are stores, .mat files, pickles, .json, .csv and "
        ".npz files, and folders of .mat, .json or .npz files"
    )


def load_content(path: Path) -> Content:
    """A single file's content, read safely. Raises InputError naming the file."""
    kind = kind_of(path)
    load = _LOADERS.get(kind)
    return Content(path, kind, None if load is None else load(path))


def _json_of(path: Path) -> Any:
    """The file's value. Raises InputError, naming the file, where it cannot be read.

    Nesting is bounded, and so are numbers: NaN and infinity are no json.
    """
    import orjson

    try:
        return orjson.loads(read_bytes(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise InputError(f"{path}: is not json that can be read ({reason(error)})") from error


def _text_of(path: Path) -> str:
    try:
        return read_text(path, "utf-8-sig")
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
    """What the file holds, in a few words, for the message that it is no known format."""
    value = content.value
    if content.kind == "mat":
        held = [f"{reason(name)} {array.dtype}{array.shape}" for name, array in value.items()]
        return f"a .mat file with {', '.join(held[:5]) or 'no variables'}"
    if content.kind == "csv":
        return f"a table that begins with {value[:60].splitlines()[:1]}"
    if content.kind == "npz":
        return f"arrays called {', '.join(list(value)[:5]) or 'nothing'}"
    if content.kind == "json":
        return f"a json {type(value).__name__}"
    if isinstance(value, dict):
        keys = ", ".join(reason(repr(key)) for key in list(value)[:5])
        return f"a pickled dict of {len(value)} with {keys}"
    if isinstance(value, list):
        return f"a pickled list of {len(value)}"
    return f"a pickled {type(value).__name__}"
