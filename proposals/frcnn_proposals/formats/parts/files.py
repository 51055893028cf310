"""One part of the results: a Parquet or JSON-lines file with one row per image."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.errors import Error, InputError, MisuseError, reason
from frcnn_proposals.files import whole_file
from frcnn_proposals.formats.parts.row import Row
from frcnn_proposals.reading import open_file

PartFormat = Literal["parquet", "jsonl"]
DEFAULT_FORMAT: PartFormat = "jsonl"
PART_FORMATS: tuple[PartFormat, ...] = get_args(PartFormat)
_PARQUET_MARK = b"PAR1"  # at both ends of a file
_WITHOUT_ERROR = b'"error":null}\n'  # the end of a line of JSON
ROW_BITS = 20  # for the number of a row in its block
_ROWS_IN_GROUP = 1 << ROW_BITS
_BOXES_IN_GROUP = 65_536  # in a row group of Parquet, which is read as a whole
_START = re.compile(rb'\{"id":("(?:[^"\\]|\\.)*"),"boxes":(null|\[)')  # of a line with a row


class Place(NamedTuple):
    """Where a row is in its part.

    block: what is read at once: a row group of Parquet, or the line that starts at this byte.
    row: its number in the block.
    """

    block: int
    row: int


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

            boxes = sum(map(len, rows))
            of_group = len(rows) * _BOXES_IN_GROUP // max(boxes, _BOXES_IN_GROUP)
            of_group = max(1, min(of_group, _ROWS_IN_GROUP))
            pyarrow.parquet.write_table(_table(rows), file, row_group_size=of_group)
        else:
            for row in rows:
                file.write(_line(row))


def read_part(path: Path) -> list[Row]:
    """Read a file that write_part wrote. Raises InputError, which names it, for any other."""
    with _readable(path):
        if path.suffix == ".parquet":
            import pyarrow.parquet

            with open_file(path) as file:
                return _from_table(pyarrow.parquet.read_table(file))
        with open_file(path) as file:
            return [_from_values(_parsed(line)) for line in file]


def read_errors(path: Path) -> list[str]:
    """The error messages of the failed images in a part, without reading its boxes.

    Raises InputError, as read_part does.
    """
    with _readable(path), open_file(path) as file:
        if path.suffix == ".parquet":
            import pyarrow.parquet

            errors = pyarrow.parquet.read_table(file, columns=["error"]).column("error")
            return [str(error) for error in errors.drop_null().to_pylist()]
        failed = (_parsed(line) for line in file if not line.endswith(_WITHOUT_ERROR))
        return [str(values["error"]) for values in failed if values["error"] is not None]


def read_places(path: Path) -> Iterator[tuple[str, Place, bool]]:
    """The id and place of each row, and whether it has boxes, which are not decoded.

    Raises InputError as read_part does, but not for damaged boxes.
    """
    with _readable(path), open_file(path) as file:
        if path.suffix == ".parquet":
            import pyarrow.parquet

            parquet = pyarrow.parquet.ParquetFile(file)
            for group in range(parquet.num_row_groups):
                table = parquet.read_row_group(group, columns=["id", "error"])
                errors = table.column("error").to_pylist()
                for row, image_id in enumerate(table.column("id").to_pylist()):
                    _check_id(image_id)
                    yield image_id, Place(group, row), errors[row] is None
            return
        offset = 0
        for line in file:
            start = _START.match(line)
            if start is None or not line.endswith(b"\n"):
                raise ValueError(f"the line at byte {offset} is not the row of an image")
            yield _parsed(start[1]), Place(offset, 0), start[2] == b"["
            offset += len(line)


def read_block(path: Path, block: int) -> list[Row]:
    """The rows of one block. Raises InputError as read_part does."""
    with _readable(path), open_file(path) as file:
        if path.suffix == ".parquet":
            import pyarrow.parquet

            return _from_table(pyarrow.parquet.ParquetFile(file).read_row_group(block))
        file.seek(block)
        return [_from_values(_parsed(file.readline()))]


def _line(row: Row) -> bytes:
    import orjson

    return orjson.dumps(row.values, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n"


def _parsed(line: bytes) -> Any:
    import orjson

    return orjson.loads(line)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise InputError, which names the part, for any error in the block that reads it."""
    check_format("parquet" if path.suffix == ".parquet" else "jsonl")
    try:
        yield
    except Error:
        raise
    except Exception as error:  # pyarrow raises many kinds of errors for a damaged file
        raise damaged(path, reason(error)) from error


def is_complete(path: Path) -> bool:
    """Whether the file has its end, judged by its last bytes."""
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


def repeated(path: Path, image_id: str, first: str, second: str) -> InputError:
    """The error for an id in two rows of the parts in a folder, and what to do."""
    where = f"two parts, {first} and {second}. Remove one of them"
    if first == second:
        where = f"two rows of {first}. Remove it, and repeat the command that wrote it"
    return InputError(f"{path}: image {image_id[:100]!r} is in {where}.")


def _table(rows: Sequence[Row]) -> Any:
    import pyarrow

    boxes = [row.boxes for row in rows]
    flat = pyarrow.array(concatenated(boxes, np.float32))
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

    return _lists(values, pyarrow.array(concatenated(values, dtype)))


def concatenated(arrays: Iterable[NDArray[Any] | None], dtype: type) -> NDArray[Any]:
    """The numbers of all arrays, one after the other, without those that are None."""
    flat = [array.reshape(-1) for array in arrays if array is not None]
    return np.concatenate([*flat, np.zeros(0, dtype)]).astype(dtype, copy=False)


def _lists(values: Sequence[NDArray[Any] | None], flat: Any) -> Any:
    """A column with one list per row, or null; flat: the elements of all lists."""
    import pyarrow

    counts = [0 if each is None else len(each) for each in values]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    missing = pyarrow.array([each is None for each in values], pyarrow.bool_())
    return pyarrow.ListArray.from_arrays(pyarrow.array(offsets), flat, mask=missing)


def _from_table(table: Any) -> list[Row]:
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
    """Raise ValueError if the row is not the complete result for an image."""
    _check_id(row.image_id)
    arrays = [each for each in (row.boxes, row.scores, row.labels) if each is not None]
    is_complete = (
        len({len(each) for each in arrays}) <= 1
        and (row.boxes is None) == (row.error is not None)
        and (row.error is None or not arrays)
        and (row.labels is None or row.scores is not None)
    )
    if not is_complete:
        raise ValueError(f"the row of {row.image_id[:100]!r} is not complete")
    return row


def _check_id(image_id: Any) -> None:
    if not isinstance(image_id, str):
        raise ValueError("an id is missing")
