"""The origin of a set of proposals, stored with the boxes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from frcnn_proposals.base import Source

# Versions up to 0.2.0 did not store this parameter: without it, and with this value, images up to
# this size have the same boxes, and stores and unfinished work have the same fingerprint.
_NOT_STORED_BEFORE = ("working_pixels", 500 * 500)

# The parameter for boxes that are copied from a file which states its sources. It follows from the
# file's content, which is part of the version, and was not stored before either.
COPIED = "copied_sources"


@dataclass(frozen=True)
class Provenance:
    """The source's name, its version, and every parameter that changes its result (JSON values).

    note: free text that does not affect the fingerprint, such as the program that wrote the boxes.
    """

    source: str
    version: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    @classmethod
    def of(cls, source: Source) -> Provenance:
        return cls(source.name, source.version, dict(source.parameters))

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the sources of the boxes; of copied boxes, those of the original as well."""
        return (*self.source.split("+"), *_copied(self.parameters))

    @property
    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal; equal if the same pixels would give the same boxes.

        One exception: the boxes that versions up to 0.2.0 stored for large images are not those
        of the bounded working size, but have the same fingerprint.
        """
        identity = [self.source, self.version, _as_before(self.parameters)]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def describe(self) -> str:
        """Source, version and parameters in one line."""
        values = ", ".join(f"{name} {value}" for name, value in self.parameters.items())
        return " ".join(part for part in (self.source, self.version, f"({values})") if part != "()")

    def to_json(self) -> str:
        return json.dumps({**vars(self), "parameters": dict(self.parameters)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Provenance:
        """The inverse of to_json. Raises ValueError for any other text."""
        try:
            fields = json.loads(text)
        except RecursionError as error:
            raise ValueError("lists are nested too deeply") from error
        if not isinstance(fields, dict) or not isinstance(fields.get("parameters"), dict):
            raise ValueError("not a provenance record")
        strings = [str(fields.get(name, "")) for name in ("source", "version", "note")]
        return cls(strings[0], strings[1], fields["parameters"], strings[2])


def _copied(parameters: Mapping[str, Any]) -> Iterator[str]:
    """The sources of copied boxes, which `precomputed` has as a parameter, alone or in a union."""
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            yield from _copied(value)
        elif name == COPIED and isinstance(value, list):
            yield from map(str, value)


def _as_before(value: Any) -> Any:
    """Parameters, of one source or by source, without those that were not stored before."""
    if not isinstance(value, Mapping):
        return value
    return {
        key: _as_before(v)
        for key, v in value.items()
        if (key, v) != _NOT_STORED_BEFORE and key != COPIED
    }
