"""Data sets: finding, reading and generating them. Pixels stay on disk until they are used."""

from frcnn_cli.engine.datasets.find import (
    DefaultSplits,
    available_splits,
    default_splits,
    find_dataset,
)
from frcnn_cli.engine.datasets.generate import generate_dataset
from frcnn_cli.engine.datasets.locate import locate
from frcnn_cli.engine.datasets.voc import VOC_CLASSES

__all__ = [
    "VOC_CLASSES",
    "DefaultSplits",
    "available_splits",
    "default_splits",
    "find_dataset",
    "generate_dataset",
    "locate",
]
