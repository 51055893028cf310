"""Map the ids in a file to the ids of a dataset."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from frcnn_proposals.errors import InputError
from frcnn_proposals.files import is_writable
from frcnn_proposals.formats.base import Parsed
from frcnn_proposals.image_ids import ids_of_paths, repeated_ids

ImageSize = Callable[[str], tuple[int, int] | None]  # id -> (width, height) in pixels

_NUMBER = re.compile(r"[0-9]+(_[0-9]+)*")
_COCO_NAME = re.compile(r"COCO_[a-z]+[0-9]{4}_([0-9]{12})")


@dataclass(frozen=True)
class Images:
    """The images that a proposal file belongs to.

    ids: a list in the order of the dataset or the image list, or a set if the order is not known;
    None if they are not known. size_of: returns the (width, height) of an image, to check its
    boxes, or None for an unknown id.
    """

    ids: Collection[str] | None = None
    size_of: ImageSize | None = None

    @property
    def in_order(self) -> Sequence[str] | None:
        """The ids, if their order is known."""
        return self.ids if isinstance(self.ids, Sequence) else None

    def size(self, image_id: str) -> tuple[int, int] | None:
        return None if self.size_of is None else self.size_of(image_id)


def image_ids_of(path: Path, parsed: Parsed, images: Images) -> list[str]:
    """An image id for each table of a file.

    Raises InputError if an image list is needed but missing or of another length, or if two tables
    get the same id.
    """
    if parsed.ids is None:
        return _by_order(path, len(parsed.boxes), images.in_order)
    return checked_ids(path, matched_ids(parsed.ids, images.ids, parsed.rooted))


def ids_if_known(files: Sequence[Parsed], images: Images) -> list[list[str] | None]:
    """The ids of each file's tables; None where its images are not known, so not checked."""
    named = [image_id for parsed in files for image_id in parsed.ids or ()]
    ids = iter(matched_ids(named, images.ids, all(parsed.rooted for parsed in files)))
    found: list[list[str] | None] = []
    for parsed in files:
        if parsed.ids is not None:
            found.append([next(ids) for _ in parsed.ids])
        else:
            known = images.in_order
            fits = known is not None and len(known) == len(parsed.boxes)
            found.append(list(known or ()) if fits else None)
    return found


def checked_ids(path: Path, ids: list[str]) -> list[str]:
    """The ids. Raises InputError, which names `path`, if one is not valid text or repeats."""
    if not is_writable("".join(ids)):
        raise InputError(f"{path}: an image id in it is not valid text")
    repeated = repeated_ids(ids)
    if repeated:
        first = next(image_id for image_id in ids if image_id in repeated)
        raise InputError(f"{path}: has more than one list of boxes for image {first!r}")
    return ids


def matched_ids(
    found: Sequence[str | int], image_ids: Collection[str] | None, rooted: bool = True
) -> list[str]:
    """The image ids that are meant by the ids in a file.

    A name is mapped to the first of these that is in `image_ids`: itself, itself without the suffix
    of an image, the one image with the same number (without separators and leading zeros), the
    longest end of its path. Names with the same end are not mapped to it.
    Other names follow the rule in image_ids.py. If not `rooted`, they lose their folders, unless
    two would be equal.
    """
    known = set(image_ids or ())
    numbers = names_by_number(image_ids or ())
    names = [str(name) for name in found]
    plain = ids_of_paths([_normalised(name) for name in names])
    ids = [_direct(*pair, known, numbers) for pair in zip(names, plain, strict=True)]
    free = known - {image_id for image_id in ids if image_id is not None}
    ends = [
        next((end for end in _ends(path) if end in free), None) if image_id is None else None
        for image_id, path in zip(ids, plain, strict=True)
    ]
    times = Counter(ends)
    others = plain if rooted else _without_folders(plain)
    return [
        image_id or (end if end is not None and times[end] == 1 else other)
        for image_id, end, other in zip(ids, ends, others, strict=True)
    ]


def names_by_end(names: Iterable[str]) -> dict[str, str]:
    """Paths by each of their ends, b/c and c for a/b/c, without the ends that two paths share."""
    pairs = [(end, name) for name in names for end in _ends(name)]
    times = Counter(end for end, _ in pairs)
    return {end: name for end, name in pairs if times[end] == 1}


def _ends(path: str) -> Iterator[str]:
    """The path without its first folder, without its first two, and so on."""
    while "/" in path:
        path = path.partition("/")[2]
        yield path


def whole_number(text: str) -> int | None:
    """The number of an image id in files with whole numbers as ids; None if it has no number."""
    coco = _COCO_NAME.fullmatch(text)
    digits = coco[1] if coco else text
    return int(digits.replace("_", "")) if _NUMBER.fullmatch(digits) and len(digits) < 100 else None


def _by_order(path: Path, count: int, image_ids: Sequence[str] | None) -> list[str]:
    if image_ids is None:
        raise InputError(
            f"{path}: its {count} lists of boxes have no ids, only an order.\n"
            "Give the list of images that it was created for: `--image-set` of "
            "`frcnn proposals convert`."
        )
    if len(image_ids) != count:
        raise InputError(
            f"{path}: has boxes for {count} images, but the image list has {len(image_ids)}; "
            "it was created for another list"
        )
    return list(image_ids)


def _normalised(name: str) -> str:
    """A path with slashes, without ./ in front; a name without folders is not changed."""
    path = name.replace("\\", "/")
    return str(PurePosixPath(path)) if "/" in path else name


def _direct(name: str, plain: str, known: set[str], numbers: dict[int, str]) -> str | None:
    for candidate in (name, plain):
        if candidate in known:
            return candidate
    number = whole_number(plain)
    return None if number is None else numbers.get(number)


def _without_folders(paths: Sequence[str]) -> list[str]:
    names = [PurePosixPath(path).name for path in paths]
    return list(paths) if repeated_ids(names) else names


def names_by_number(image_ids: Iterable[str]) -> dict[int, str]:
    """Image ids by their whole number, without ids that share a number."""
    numbers = [(whole_number(image_id), image_id) for image_id in image_ids]
    times = Counter(number for number, _ in numbers)
    return {
        number: image_id
        for number, image_id in numbers
        if number is not None and times[number] == 1
    }
