"""Reading a json file from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.reading import read_bytes


def load_json(path: Path) -> Any:
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
