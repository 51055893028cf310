"""Every reader of external files, with good files to damage."""

from __future__ import annotations

import io
import json
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import bad_annotations
import bad_images
import bad_mats
import bad_models
import bad_pickles
import bad_results
import numpy as np
from test_bad_archives import packed, plain

from frcnn_cli.engine.datasets.download.dataset import unpack
from frcnn_cli.engine.datasets.inputs import find_images
from frcnn_cli.engine.datasets.layout import raise_on_fault
from frcnn_cli.engine.datasets.readers.coco import CocoLayout
from frcnn_cli.engine.datasets.readers.voc_xml import ground_truth, read_annotation
from frcnn_cli.engine.datasets.readers.yolo_description import read_description
from frcnn_cli.engine.datasets.text_files import read_labels
from frcnn_cli.engine.detection.features.rows import FeatureJournal
from frcnn_cli.engine.detection.journal import Journal
from frcnn_cli.engine.evaluation.detections_file import read_detections
from frcnn_cli.engine.exchange.caffe_file import read_caffemodel
from frcnn_cli.engine.models.file import load_tensors
from frcnn_cli.engine.network.backbones.weights import read_state
from frcnn_cli.engine.records import Dataset, ImageRecord
from frcnn_cli.engine.settings import Experiment
from frcnn_cli.engine.settings.overrides import override, read_toml
from frcnn_cli.engine.training.metrics import METRICS_FILE, read_training_log
from frcnn_proposals.errors import InputError
from frcnn_proposals.formats import read_proposals
from frcnn_proposals.formats.parts.files import read_block, read_part, read_places
from frcnn_proposals.images import image_size, read_image, read_image_bytes
from frcnn_proposals.store.reader import open_store

_DATASET = Dataset(
    "d", "test", ("cat", "circle"), (ImageRecord("000010", Path("000010.jpg"), 64, 48),)
)


@dataclass(frozen=True)
class Parser:
    """A reader. read: reads a file of this name or raises InputError. seeds: makes good files."""

    name: str
    file: str
    read: Callable[[Path], object]
    seeds: Callable[[], list[bytes]]


def check(parser: Parser, message: str) -> None:
    """Assert that a message has at most three lines and names the file."""
    assert parser.file in message, message
    assert len(message.splitlines()) <= 3, message


def _image(path: Path) -> None:
    image_size(path)
    read_image(path, max_pixels=1_000_000)


def _xml(path: Path) -> None:
    found = read_annotation(path, raise_on_fault)
    assert found is not None
    ground_truth(found, {"cat": 1}, raise_on_fault)


def _coco(path: Path) -> None:
    CocoLayout(path).read("test", "d", raise_on_fault)


def _blocks(path: Path) -> None:
    for _, place, _ in read_places(path):
        read_block(path, place.block)


def _image_list(path: Path) -> None:
    try:
        find_images([str(path)])
    except InputError as error:  # it may name only the images
        raise InputError(f"{error} in {path}") from error


def _metrics(path: Path) -> None:
    read_training_log(path.parent)


def _archive(path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        unpack(path, Path(folder) / "into")


def _images_in_archive(path: Path) -> None:
    for _, file in find_images([str(path)]):
        read_image_bytes(file)


def _store(path: Path) -> None:
    for boxes in open_store(path).values():
        assert boxes is not None


def _journal(path: Path) -> None:
    with Journal(path, {"model": "m"}) as journal:
        journal.known("a", "d")


def _feature_journal(path: Path) -> None:
    with FeatureJournal(path, {"model": "m"}, {}) as journal:
        journal.known("a", "d")


def _store_seeds() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        return [bad_results.good_store(Path(folder)).read_bytes()]


def _mat_seeds() -> list[bytes]:
    cell, table = bad_mats.cell, np.array([[1.0, 2, 30, 40]])
    variables = {"boxes": cell(table), "images": cell("a")}
    return [
        bad_mats.saved(variables),
        bad_mats.saved({"boxes": table}, format="4"),
        bad_mats.saved(variables, do_compression=True),
        bad_mats.hdf5(),
    ]


def _image_seeds() -> list[bytes]:
    kinds = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")
    small = bad_images.noise(size=(9, 7))
    return [bad_images.encoded(small, kind) for kind in kinds]


_PART = (
    b'{"id":"a","boxes":[[1.5,2,3,4]],"scores":[0.5],"labels":[1],"error":null}\n'
    b'{"id":"b","boxes":null,"scores":null,"labels":null,"error":"b: cannot be read"}\n'
)


def _described() -> list[bytes]:
    return [bad_models.described(bad_models.good_description())]


def _toml() -> list[bytes]:
    return [b"backbone = 'vgg16'\n[train]\nseed = 9\n[sampling]\nimages = 2\n"]


def _npz_seeds() -> list[bytes]:
    file = io.BytesIO()
    np.savez(file, a=np.array([[1, 2, 30, 40]]), b=np.zeros((2, 4)))
    return [file.getvalue()]


def _json_seeds() -> list[bytes]:
    """COCO files with each kind of mask, and a segment-anything file."""
    runs = {"size": [96, 128], "counts": [2000, 40, 56, 40, 10152]}
    masks = [runs, {**runs, "counts": "0a0"}, [[1, 2, 30, 2, 30, 40]]]
    content = bad_annotations.good_coco()
    marked = [
        {"image_id": 7, "category_id": 3, "segmentation": mask, "score": 0.5} for mask in masks
    ]
    with_masks = content | {"annotations": [*content["annotations"], *marked]}
    of_one_image = [{"segmentation": runs, "predicted_iou": 0.9}]
    return [json.dumps(seed).encode() for seed in (content, with_masks, of_one_image, marked)]


_METRICS = (
    b'{"iteration": 1, "loss": 2.5, "classification": 2.0, "box_regression": 0.5}\n'
    b'{"iteration": 2, "loss": 1.5, "classification": 1.0, "box_regression": 0.5}\n'
)
_LINE = b'{"format":"frcnn detections, unfinished, 1","identity":{"model":"m"}}\n'
_ENTRY = b'{"image_id":"a","digest":"d","boxes":[[1,2,3,4]],"scores":[0.5],"labels":[1]}\n'
_FEATURES = (
    b'{"format":"frcnn features, unfinished, 1","identity":{"model":"m"}}\n'
    b'{"image_id":"a","digest":"d","start":0,"count":3,"width":64,"height":48}\n'
)
_YAML = b"names: {0: cat, 1: dog}\npath: .\ntrain: images\nval: [a, b]\n"


@cache
def parsers() -> dict[str, Parser]:
    """The readers by name."""
    found = [
        Parser("image", "a.png", _image, _image_seeds),
        Parser("xml", "a.xml", _xml,
               lambda: [bad_annotations.annotation(bad_annotations.thing()).encode()]),
        Parser("coco", "instances_test.json", _coco,
               lambda: [json.dumps(bad_annotations.good_coco()).encode()]),
        Parser("yolo-labels", "a.txt", lambda path: read_labels(path, 2, (48, 48), raise_on_fault),
               lambda: [b"0 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.3 0.1 0.3 0.3\n"]),
        Parser("yolo-yaml", "data.yaml", read_description, lambda: [_YAML]),
        # Its lines are valid class names too.
        Parser("obj-data", "obj.data", read_description,
               lambda: [b"classes = 2\ntrain = train.txt\nnames = obj.data\n"]),
        Parser("pickle", "a.pkl", read_proposals,
               lambda: [pickle.dumps(bad_pickles.detectron(), protocol) for protocol in (0, 2, 4)]),
        Parser("mat", "a.mat", read_proposals, _mat_seeds),
        Parser("store", "a.proposals", _store, _store_seeds),
        Parser("model", "a.safetensors", load_tensors, _described),
        Parser("weights", "a.pth", read_state,
               lambda: [bad_models.weights()["foreign tensors"]]),
        Parser("caffe", "a.caffemodel", read_caffemodel,
               lambda: [bad_models.caffemodels()["one layer of another network"]]),
        Parser("detections", "a.json", lambda path: read_detections(path, _DATASET),
               lambda: [json.dumps([bad_results.entry()]).encode()]),
        Parser("text-per-image", "000010.txt", lambda path: read_detections(path, _DATASET),
               lambda: [b"circle 0.5 1 2 30 40\n", b"1 0.5 0.5 0.1 0.1 0.5\n"]),
        Parser("devkit", "det_circle.txt", lambda path: read_detections(path, _DATASET),
               lambda: [b"000010 0.5 1 2 3 4\n"]),
        Parser("toml", "a.toml", lambda path: override(Experiment(), read_toml(path)), _toml),
        Parser("csv", "a.csv", read_proposals,
               lambda: [b"image_id,x1,y1,x2,y2,score\na,1,2,30,40,0.5\nb,0,0,9,9,0.25\n"]),
        Parser("npz", "a.npz", read_proposals, _npz_seeds),
        Parser("json-proposals", "a.json", read_proposals, _json_seeds),
        Parser("image-list", "a.txt", _image_list, lambda: [b"# mine\na.png\nb/c.jpg\n"]),
        Parser("metrics", METRICS_FILE, _metrics, lambda: [_METRICS]),
        Parser("archive", "a.tar", _archive, lambda: [packed(plain("a/b"), plain("a/c"))]),
        Parser("images-in-archive", "a.tar", _images_in_archive,
               lambda: [packed(plain("a.png"), plain("b/c.jpg"))]),
        Parser("part", "a.jsonl", read_part, lambda: [_PART]),
        Parser("places-in-part", "a.jsonl", _blocks, lambda: [_PART]),
        Parser("journal", "a.partial", _journal, lambda: [_LINE + _ENTRY]),
        Parser("features", "a.partial", _feature_journal, lambda: [_FEATURES]),
    ]  # fmt: skip
    return {parser.name: parser for parser in found}
