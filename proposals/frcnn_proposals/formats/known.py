"""Every format there is, by name."""

from __future__ import annotations

from frcnn_proposals.errors import MisuseError
from frcnn_proposals.formats.base import Format, WritableFormat
from frcnn_proposals.formats.coco_json import CocoJson
from frcnn_proposals.formats.csv_table import CsvTable
from frcnn_proposals.formats.detectron2_pkl import Detectron2Pkl
from frcnn_proposals.formats.detectron_pkl import DetectronPkl
from frcnn_proposals.formats.edgeboxes_mat import EdgeBoxesMat
from frcnn_proposals.formats.fast_rcnn_mat import FastRcnnMat
from frcnn_proposals.formats.hosang_mat import HosangMat
from frcnn_proposals.formats.ijcv_mat import DemoMat, IjcvMat
from frcnn_proposals.formats.mcg_mat import McgMat
from frcnn_proposals.formats.mmdet2_pkl import Mmdet2Pkl
from frcnn_proposals.formats.mmdet3_pkl import Mmdet3Pkl
from frcnn_proposals.formats.npz import NpzByImage, NpzOfImage
from frcnn_proposals.formats.py_faster_rcnn_pkl import PyFasterRcnnPkl
from frcnn_proposals.formats.sam_json import SamJson
from frcnn_proposals.formats.sergeyk_mat import SergeykMat
from frcnn_proposals.formats.wsddn_mat import WsddnMat

STORE = "store"
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
FORMATS: tuple[Format, ...] = (
    *WRITABLE,
    IjcvMat(),
    DemoMat(),
    HosangMat(),
    McgMat(),
    EdgeBoxesMat(),
    WsddnMat(),
    SergeykMat(),
    PyFasterRcnnPkl(),
    SamJson(),
    NpzOfImage(),
)


def format_names() -> list[str]:
    """The names of all formats that can be read, the store first."""
    return [STORE, *(format.name for format in FORMATS)]


def format_named(name: str) -> Format:
    """The format called `name`. Raises MisuseError if there is none."""
    for format in FORMATS:
        if format.name == name:
            return format
    raise MisuseError(f"unknown proposal format {name!r}; there are: {', '.join(format_names())}")


def writable_named(name: str) -> WritableFormat:
    """The format called `name`. Raises MisuseError if it cannot be written."""
    for format in WRITABLE:
        if format.name == name:
            return format
    names = ", ".join((STORE, *(format.name for format in WRITABLE)))
    raise MisuseError(f"{name!r} is not a format that can be written; these are: {names}")
