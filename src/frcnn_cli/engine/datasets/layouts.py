"""Detection of a dataset's layout."""

from __future__ import annotations

from pathlib import Path

from frcnn_cli.engine.datasets.layout import Layout
from frcnn_cli.engine.datasets.listing import folders_in, holds_only_images
from frcnn_cli.engine.datasets.readers.coco import CocoLayout
from frcnn_cli.engine.datasets.readers.folder import FolderLayout
from frcnn_cli.engine.datasets.readers.image_labels import ClassFolders, LabelTable
from frcnn_cli.engine.datasets.readers.voc import VocLayout
from frcnn_cli.engine.datasets.readers.yolo import YoloLayout
from frcnn_proposals.errors import MisuseError


def layout_at(path: Path) -> Layout:
    """Return the dataset at a path. Raises MisuseError if there is none, or more than one.

    Labels of images are read only here, where the path is given as a dataset: elsewhere, folders of
    images are just images.
    """
    found = layouts_in(path)
    if not found and LabelTable.is_at(path):
        return LabelTable(path)
    if not found:
        folders = folders_in(path) if path.is_dir() else []
        inner = next((folder for folder in folders if layouts_in(folder)), None)
        if inner is None and ClassFolders.is_at(path):
            return ClassFolders(path)
        hint = "" if inner is None else f", but {inner} is one"
        raise MisuseError(
            f"{path} is not a dataset in a supported layout{hint}.\nExpected VOC (ImageSets/Main, "
            "Annotations, JPEGImages), COCO json, YOLO (data.yaml, obj.data, or images and labels\n"
            "with classes.txt), a folder of VOC xml files, or labels of images: a CSV file or a "
            "folder per\nclass (docs/datasets.md)."
        )
    if len(found) > 1:
        roots = ", ".join(str(layout.root) for layout in found)
        raise MisuseError(f"{path} contains several datasets: specify one of {roots}.")
    return found[0]


def layouts_in(path: Path) -> list[Layout]:
    """Return the dataset at a path, or the VOC years one or two levels below it."""
    if path.is_dir() and holds_only_images(path):
        return []
    # Specific layouts come first: a VOC folder is also a folder of xml files.
    if VocLayout.is_at(path):
        return [VocLayout(path)]
    years = [
        folder
        for parent in (path, path / "VOCdevkit")
        if parent.is_dir()
        for folder in folders_in(parent)
        if VocLayout.is_at(folder)
    ]
    if years:
        return [VocLayout(folder) for folder in years]
    for layout in (CocoLayout, YoloLayout, FolderLayout):
        if layout.is_at(path):
            return [layout(path)]
    return []
