"""Parts of splits: images that are held out by a hash of their ids, or named in a list."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from frcnn_cli.engine.datasets.text_files import read_lines, without_column
from frcnn_cli.engine.records import Dataset
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.wording import some_of

# All splits of a dataset together; the base of a list.
EVERY = "*"
# Roboflow writes several versions of an image, which differ in this part of their names.
_VERSION = re.compile(r"\.rf\.[0-9A-Za-z]{16,}")
_NAMED = 3


class Part(Protocol):
    """A part of a split. split: the whole."""

    @property
    def split(self) -> str: ...

    def of(self, dataset: Dataset) -> Dataset:
        """Return the images of `dataset`, the whole split, that are in this part."""
        ...


@dataclass(frozen=True)
class SharePart:
    """The held-out images of a split, called val, or the others, called train.

    An image stays on its side when others are added. Both sides have at least one image.
    """

    split: str
    name: str
    share: float

    def of(self, dataset: Dataset) -> Dataset:
        held = held_out([image.image_id for image in dataset.images], self.share, dataset)
        is_val = self.name == "val"
        images = tuple(image for image in dataset.images if (image.image_id in held) == is_val)
        return replace(dataset, split=self.name, images=images)


@dataclass(frozen=True)
class ListPart:
    """The images that a text file names, one id per line, in its order."""

    path: Path
    split: str = EVERY

    def of(self, dataset: Dataset) -> Dataset:
        ids = list(dict.fromkeys(map(without_column, read_lines(self.path))))
        if not ids:
            raise InputError(f"{self.path}: lists no images; expected one id per line.")
        images = {image.image_id: image for image in dataset.images}
        unknown = [image_id for image_id in ids if image_id not in images]
        if unknown:
            more = ", ..." if unknown[_NAMED:] else ""
            raise InputError(
                f"{self.path}: {some_of(len(unknown), len(ids), 'id', 'has', 'have')} no image in "
                f"{dataset.name}: "
                f"{', '.join(unknown[:_NAMED])}{more}."
            )
        chosen = tuple(images[image_id] for image_id in ids)
        return replace(dataset, split=self.path.stem, images=chosen)


def parse_part(text: str) -> Part | None:
    """The part that a split's text names; None for a whole split.

    `all:val:0.2` is the fifth of split all that is held out, `all:train:0.2` the rest, and a text
    that ends in .txt is the file of a list.
    """
    if text.lower().endswith(".txt"):
        return ListPart(Path(text))
    match = re.fullmatch(r"(.+):(train|val):([0-9.e-]+)", text)
    if match is None:
        return None
    try:
        share = float(match[3])
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise MisuseError(f"Split {text!r}: the share must be between 0 and 1, such as 0.2.")
    return SharePart(match[1], match[2], share)


def held_out(image_ids: Iterable[str], share: float, dataset: Dataset) -> set[str]:
    """The ids whose hashes are in the lowest `share` of all hashes.

    Versions of one image by Roboflow stay together. Raises MisuseError if there is only one image.
    """
    positions = {image_id: _position(image_id) for image_id in image_ids}
    lowest, highest = (f(positions.values(), default=0.0) for f in (min, max))
    if lowest == highest:
        raise MisuseError(
            f"{dataset.name} {dataset.split} has only one image, so none can be held out."
        )
    limit = min(max(share, lowest), highest)
    return {name for name, at in positions.items() if at < limit or at == lowest}


def _position(image_id: str) -> float:
    """The hash of an id, from 0 to 1."""
    source = _VERSION.sub("", image_id)
    digest = hashlib.sha256(source.encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
