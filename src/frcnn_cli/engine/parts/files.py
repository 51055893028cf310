"""One part of the results: a Parquet or JSON-lines file with one row per image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import orjson
from numpy.typing import NDArray

from frcnn_cli.engine.parts.rows import Row
from frcnn_proposals.errors import Error, InputError, MisuseError, reason
from frcnn_proposals.files import whole_file
from frcnn_proposals.reading import open_file

PartFormat = Literal["parquet", "jsonl"]
DEFAULT_FORMAT: PartFormat = "jsonl"
PART_FORMATS: tuple[PartFormat, ...] = get_args(PartFormat)
_PARQUET_MARK = b"PAR1"  # at both ends of a file


def check_format(format: PartFormat) -> None:
    """Raise MisuseError if files of this format cannot be written here."""
    if format == "parquet" and find_spec("pyarrow") is None:
        raise MisuseError(
            "Parquet files need pyarrow: pip install '.[parquet]', or write --format jsonl."
        )


def write_part(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows to a new file, completely or not at all; the suffix is the format.

    Columns: id, boxes (a list of x1, y1, x2, y2 per image), scores, labels, and error. Raises
    InputError if the file exists or cannot be written.
    """
    with whole_file(path, replaces=False) as file:
        if path.suffix == ".parquet":
            import pyarrow.parquet

            pyarrow.parquet.write_table(_table(rows), file)
        else:
            for row in rows:
                file.write(orjson.dumps(row.values, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")


def read_part(path: Path) -> list[Row]:
    """Read a file that write_part wrote. Raises InputError, which names it, for any other."""
    check_format("parquet" if path.suffix == ".parquet" else "jsonl")
    try:
        if path.suffix == ".parquet":
            return _from_table(path)
        with open_file(path) as file:
            return [_from_values(orjson.loads(line)) for line in file]
    except Error:
        raise
    except Exception as error:  # pyarrow raises many kinds of errors for a damaged file
        raise damaged(path, reason(error)) from error


def is_complete(path: Path) -> bool:
    """Whether the end of the file is there, as far as its last bytes show."""
    mark = _PARQUET_MARK if path.suffix == ".parquet" else b"\n"
    with open_file(path) as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - len(mark)))
        return file.read() == mark


def damaged(path: Path, problem: str) -> InputError:
    """The error for a part that cannot be read, and what to do."""
    return InputError(
        f"{path}: is not a readable part ({problem}).\n"
        "Remove it, and repeat the command that wrote it."
    )


def _table(rows: Sequence[Row]) -> Any:
    import pyarrow

    boxes = [row.boxes for row in rows]
    flat = pyarrow.array(_concatenated([each for each in boxes if each is not None], np.float32))
    four = pyarrow.ListArray.from_arrays(np.arange(0, len(flat) + 1, 4, dtype=np.int32), flat)
    columns = {
        "id": pyarrow.array([row.image_id for row in rows], pyarrow.string()),
        "boxes": _lists(boxes, four),
        "scores": _numbers([row.scores for row in rows], np.float32),
        "labels": _numbers([row.labels for row in rows], np.int64),
        "error": pyarrow.array([row.error for row in rows], pyarrow.string()),
    }
    return pyarrow.table(columns)


def _numbers(values: Sequence[NDArray[Any] | None], dtype: type) -> Any:
    import pyarrow

    present = [each for each in values if each is not None]
    return _lists(values, pyarrow.array(_concatenated(present, dtype)))


def _concatenated(arrays: Iterable[NDArray[Any]], dtype: type) -> NDArray[Any]:
    flat = [array.reshape(-1) for array in arrays]
    return np.concatenate([*flat, np.zeros(0, dtype)]).astype(dtype, copy=False)


def _lists(values: Sequence[NDArray[Any] | None], flat: Any) -> Any:
    """A column with one list per row, or null; flat: the elements of all lists."""
    import pyarrow

    counts = [0 if each is None else len(each) for each in values]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    missing = pyarrow.array([each is None for each in values], pyarrow.bool_())
    return pyarrow.ListArray.from_arrays(pyarrow.array(offsets), flat, mask=missing)


def _from_table(path: Path) -> list[Row]:
    import pyarrow.parquet

    with open_file(path) as file:
        table = pyarrow.parquet.read_table(file)
    columns = {name: table.column(name).combine_chunks() for name in Row(None).values}
    boxes = _split(columns["boxes"], columns["boxes"].flatten().flatten().to_numpy(), 4)
    scores, labels = (
        _split(columns[name], columns[name].flatten().to_numpy(), 1)
        for name in ("scores", "labels")
    )
    ids, errors = (columns[name].to_pylist() for name in ("id", "error"))
    return [
        _checked(Row(*values)) for values in zip(ids, boxes, scores, labels, errors, strict=True)
    ]


def _split(column: Any, flat: NDArray[Any], width: int) -> list[NDArray[Any] | None]:
    """The elements of each list of a column; None for null."""
    import pyarrow.compute

    lengths = pyarrow.compute.list_value_length(column)
    counts = lengths.fill_null(0).to_numpy() * width
    arrays = np.split(flat, np.cumsum(counts)[:-1]) if len(counts) else []
    valid = lengths.is_valid().to_pylist()
    shaped = (array.reshape(-1, width) if width > 1 else array for array in arrays)
    return [array if known else None for array, known in zip(shaped, valid, strict=True)]


def _from_values(values: dict[str, Any]) -> Row:
    def array(name: str, dtype: type) -> NDArray[Any] | None:
        return None if values[name] is None else np.array(values[name], dtype)

    boxes = array("boxes", np.float32)
    boxes = None if boxes is None else boxes.reshape(-1, 4)
    scores, labels = array("scores", np.float32), array("labels", np.int64)
    return _checked(Row(values["id"], boxes, scores, labels, values["error"]))


def _checked(row: Row) -> Row:
    """Raise ValueError for a row that is not one of an image."""
    if not isinstance(row.image_id, str):
        raise ValueError("an id is missing")
    lengths = {len(each) for each in (row.boxes, row.scores, row.labels) if each is not None}
    if len(lengths) > 1 or (row.boxes is None) == (row.error is None):
        raise ValueError(f"the row of {row.image_id[:100]!r} is not complete")
    return row
