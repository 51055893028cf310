"""A share of the images, for one of several machines."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from frcnn_proposals.errors import MisuseError


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 1) of `count`.

    The part of an image depends only on its id, so that all machines agree on the parts.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Parse "2/8". Raises MisuseError for anything else."""
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise MisuseError(f"--shard must be I/N, from 1/N to N/N, not {text!r}")
        return cls(int(match[1]), int(match[2]))

    @property
    def label(self) -> str:
        """The part in the name of a file, such as 2of8."""
        return f"{self.index}of{self.count}"

    def holds(self, image_id: str) -> bool:
        """Whether the image belongs to this part, by a digest of its id."""
        digest = hashlib.sha256(image_id.encode(errors="surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index - 1
