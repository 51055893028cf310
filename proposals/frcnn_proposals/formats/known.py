"""All formats, by name."""

from __future__ import annotations

from pathlib import Path

from frcnn_proposals.errors import MisuseError
from frcnn_proposals.formats.base import Format, WritableFormat
from frcnn_proposals.formats.coco_json import CocoJson
from frcnn_proposals.formats.csv_table import CsvTable
from frcnn_proposals.formats.dataset_mat import FastRcnnMat, SergeykMat, WsddnMat
from frcnn_proposals.formats.image_mat import DEMO, IJCV, MCG, EdgeBoxesMat, HosangMat
from frcnn_proposals.formats.mmdet3_pkl import Mmdet3Pkl
from frcnn_proposals.formats.npz import NpzByImage, NpzOfImage
from frcnn_proposals.formats.ordered_pkl import Mmdet2Pkl, PyFasterRcnnPkl
from frcnn_proposals.formats.parallel_pkl import Detectron2Pkl, DetectronPkl
from frcnn_proposals.formats.sam_json import SamJson

STORE = "store"
PARTS = "parts"
# Formats that the file or folder itself states, so that no other format is tried.
STATED = {STORE: "a proposal store", PARTS: "a folder of parts"}
WRITABLE: tuple[WritableFormat, ...] = (
    FastRcnnMat(),
    DetectronPkl(),
    Detectron2Pkl(),
    Mmdet2Pkl(),
    Mmdet3Pkl(),
    CocoJson(),
    CsvTable(),
    NpzByImage(),
)
_BY_SUFFIX = {".csv": "csv", ".json": "coco", ".mat": "fast-rcnn-mat", ".npz": "npz"}
FORMATS: tuple[Format, ...] = (
    *WRITABLE,
    IJCV,
    DEMO,
    HosangMat(),
    MCG,
    EdgeBoxesMat(),
    WsddnMat(),
    SergeykMat(),
    PyFasterRcnnPkl(),
    SamJson(),
    NpzOfImage(),
)


def format_names() -> list[str]:
    """The names of all formats that can be read, the toolkit's own first."""
    return [*STATED, *(format.name for format in FORMATS)]


def format_named(name: str) -> Format:
    """The format called `name`. Raises MisuseError if there is none."""
    for format in FORMATS:
        if format.name == name:
            return format
    raise MisuseError(f"unknown proposal format {name!r}; available: {', '.join(format_names())}")


def writable_named(name: str) -> WritableFormat:
    """The format called `name`. Raises MisuseError if it cannot be written."""
    for format in WRITABLE:
        if format.name == name:
            return format
    names = ", ".join((STORE, *(format.name for format in WRITABLE)))
    raise MisuseError(f"{name!r} is not a format that can be written; available: {names}")


def format_by_suffix(path: Path) -> str:
    """The format to write to a file of this name: the only one with its suffix, or a store.

    Raises MisuseError if several formats have the suffix.
    """
    suffix = path.suffix.lower()
    if suffix in (".pkl", ".pickle"):
        raise MisuseError(
            f"{path}: several formats are pickled files. Choose one with --to: detectron, "
            "detectron2, mmdet2 or mmdet3."
        )
    return _BY_SUFFIX.get(suffix, STORE)
