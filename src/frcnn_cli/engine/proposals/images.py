"""The images that a proposal file was made for: their ids, files and sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from frcnn_cli.engine.datasets.find import available_splits, find_dataset
from frcnn_cli.engine.datasets.layouts import layouts_in
from frcnn_cli.engine.proposals.inputs import find_images
from frcnn_cli.engine.records import GroundTruth
from frcnn_proposals.errors import InputError, MisuseError, reason
from frcnn_proposals.images import image_size
from frcnn_proposals.reading import read_text


def read_image_set(path: Path) -> list[str]:
    """The ids of an image set, in order: the first word of each line (VOC's ImageSets/Main).

    Raises InputError if it cannot be read or lists none, or one twice.
    """
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as an image set ({reason(error)})") from error
    ids = [line.split()[0] for line in lines if line.strip()]
    if not ids:
        raise InputError(f"{path}: lists no images; an image set has an id on each line")
    if len(set(ids)) < len(ids):
        repeated = next(each for each in ids if ids.count(each) > 1)
        raise InputError(f"{path}: lists image {repeated!r} more than once")
    return ids


def image_files(folder: Path) -> dict[str, Path]:
    """The image files in a folder and its sub-folders, by id."""
    if not folder.is_dir():
        raise MisuseError(f"{folder}: no such folder of images")
    return {image_id: Path(path) for image_id, path in find_images([str(folder)])}


def sizes_of(files: Mapping[str, Path]) -> Callable[[str], tuple[int, int] | None]:
    """A function from id to (width, height) in pixels; None for an id without a file."""

    def size_of(image_id: str) -> tuple[int, int] | None:
        return image_size(files[image_id]) if image_id in files else None

    return size_of


def all_ids(name: str, data_root: Path | None) -> set[str]:
    """The ids of every split of a data set."""
    return {
        record.image_id
        for split in available_splits(name, data_root)
        for record in find_dataset(name, split, data_root, report=lambda fault: None).images
    }


@dataclass(frozen=True)
class Found:
    """An image, and its objects where a data set knows them.

    split_ids: the ids of the split it is in, in order: what files that have only an order need.
    """

    image_id: str
    path: Path
    truth: GroundTruth | None
    classes: tuple[str, ...]
    split_ids: tuple[str, ...]


def find_record(image: str, name: str | None, data_root: Path | None) -> Found:
    """The image file `image`, or the image of that id in the data set `name`.

    Without a name, the data set two folders above a file is looked at (JPEGImages of VOC).
    Raises MisuseError where there is no such image.
    """
    path = Path(image)
    beside = path.resolve().parent.parent
    if name is None and path.is_file() and layouts_in(beside):
        name = str(beside)
    if name is not None:
        for split in available_splits(name, data_root):
            dataset = find_dataset(name, split, data_root)
            for record in dataset.images:
                if record.image_id == image or _same_file(record.path, path):
                    ids = tuple(each.image_id for each in dataset.images)
                    return Found(record.image_id, record.path, record.truth, dataset.classes, ids)
    if not path.is_file():
        where = "; name its data set with --dataset" if name is None else f" in {name}"
        raise MisuseError(f"{image}: no such image file, nor an image of that id{where}")
    return Found(path.stem, path, None, (), (path.stem,))


def _same_file(one: Path, other: Path) -> bool:
    return one.name == other.name and one.is_file() and other.is_file() and one.samefile(other)
