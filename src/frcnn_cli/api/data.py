"""Read and generate datasets."""

from __future__ import annotations

from pathlib import Path

from frcnn_cli.api.arguments import public
from frcnn_cli.api.progress import OnProgress, reporter_for
from frcnn_cli.engine.records import Dataset


@public
def find_dataset(
    name: str | Path, split: str | None = None, data_root: str | Path | None = None
) -> Dataset:
    """Read one split of a dataset; pixels stay on disk.

    name: voc2007, voc2012, coco2017, a path, a folder's name under a data root, or a union as
    voc2007+voc2012. split: train, val, trainval, test or all; None is the split that models are
    evaluated on: test if annotated, otherwise val. data_root: searched first, then $FRCNN_DATA,
    then ./data. Raises Error for an unknown dataset or split, or a faulty file.
    """
    from frcnn_cli.engine.datasets import find

    root = None if data_root is None else Path(data_root)
    if split is None:
        split = find.default_splits(str(name), root).evaluation
    return find.find_dataset(str(name), split, root)


@public
def generate_dataset(
    out: str | Path,
    images: int = 400,
    *,
    seed: int = 0,
    size: tuple[int, int] = (320, 240),
    progress: OnProgress | None = None,
) -> Path:
    """Write a small dataset of textured shapes in the VOC layout, and return its folder.

    images: at least 8; the last quarter is the test split. size: width and height in pixels. The
    same seed generates the same images. Raises Error if `out` exists.
    """
    from frcnn_cli.engine.datasets.generate import dataset

    return dataset.generate_dataset(Path(out), images, seed, size, reporter_for(progress))
