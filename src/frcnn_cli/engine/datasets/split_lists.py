"""Write lists of image ids that split a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from frcnn_cli.engine.datasets.find import default_splits, find_dataset
from frcnn_cli.engine.datasets.layout import raise_unless_image_missing
from frcnn_cli.engine.datasets.split_parts import SharePart
from frcnn_cli.engine.datasets.text_files import image_list
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.files import write_whole


@dataclass(frozen=True)
class SplitLists:
    """The two lists, the number of ids in each, and the split that they divide."""

    train: Path
    val: Path
    train_images: int
    val_images: int
    split: str


def write_split_lists(
    name: str, folder: Path, share: float, split: str | None = None, data_root: Path | None = None
) -> SplitLists:
    """Write train.txt and val.txt into `folder`: the ids of a split, of which val has `share`.

    split: the default is the split to train on. Raises MisuseError if a list exists.
    """
    split = split or default_splits(name, data_root).training
    whole = find_dataset(name, split, data_root, raise_unless_image_missing)
    paths = {side: folder / f"{side}.txt" for side in ("train", "val")}
    for path in paths.values():
        if path.exists():
            raise MisuseError(f"{path} already exists. Choose another folder, or remove it.")
    counts = {}
    for side, path in paths.items():
        ids = [image.image_id for image in SharePart(split, side, share).of(whole).images]
        counts[side] = len(ids)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, image_list(ids).encode())
    return SplitLists(paths["train"], paths["val"], counts["train"], counts["val"], split)
