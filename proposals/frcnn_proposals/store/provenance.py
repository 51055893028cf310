"""The origin of a set of proposals, stored with the boxes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from frcnn_proposals.base import Source


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
    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal; equal if the same pixels would give the same boxes."""
        identity = [self.source, self.version, dict(self.parameters)]
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
