"""Model files, checkpoints and weights that are truncated, swapped, foreign, or false."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from corpus import BadInput, cuts, flips, written
from safetensors.torch import save

from frcnn_cli.engine.settings import Architecture, Preprocessing
from frcnn_cli.engine.settings.fields import nested
from frcnn_cli.engine.settings.training import TrainSettings

INFO = ("model", "info", "a.safetensors")
DETECT = ("detect", "HOME/shapes/JPEGImages", "--model", "a.safetensors", "--source", "dense")
RESUME = ("train", "--resume", "run")
IMPORT = ("import-torchvision", "a.pth", "--arch", "resnet18")
CAFFE = ("import-caffe", "a.caffemodel", "--arch", "caffenet")
_TENSOR = {"features.a": torch.ones(3, 4)}


def bad_models() -> Iterator[BadInput]:
    for name, content in headers().items():
        yield model(name, content, INFO)
        yield model(f"{name}, to detect", content, DETECT)
    good = described(good_description())
    for what, content in [*cuts(good), *flips(good, 12)]:
        yield model(what, content, DETECT)
    for name, description in descriptions().items():
        yield model(name, described(description), DETECT)
    for name, make in runs().items():
        named = "/nowhere/at/all" if "gone" in name else "run"
        yield BadInput(f"checkpoint/{name}", make, RESUME, named)
    for name, content in weights().items():
        yield BadInput(f"weights/{name}", written("a.pth", content), IMPORT, "a.pth")
    for name, content in caffemodels().items():
        path = "a.caffemodel"
        yield BadInput(f"caffe/{name}", written(path, content), CAFFE, path)


def model(name: str, content: bytes, arguments: tuple[str, ...]) -> BadInput:
    path = "a.safetensors"
    return BadInput(f"model/{name}", written(path, content), arguments, path)


def headers() -> dict[str, bytes]:
    """safetensors files whose header does not match their bytes."""

    def lying(length: int | None = None, name: str = "a", **entry: Any) -> bytes:
        head = json.dumps({"__metadata__": {"frcnn": "{}"}, name: entry}).encode()
        return struct.pack("<Q", len(head) if length is None else length) + head + bytes(48)

    floats = {"dtype": "F32", "shape": [3, 4]}
    return {
        "empty": b"",
        "text": b"not a model at all\n" * 30,
        "a pickle": pickle.dumps({"a": 1}),
        "nulls": bytes(200),
        "a head of 2^63": lying(2**63, **floats, data_offsets=[0, 48]),
        "a head of 10^12": lying(10**12, **floats, data_offsets=[0, 48]),
        "a head of 1 byte": lying(1, **floats, data_offsets=[0, 48]),
        "a head that is not JSON": struct.pack("<Q", 64) + b"{" * 64,
        "a head of lists in lists": struct.pack("<Q", 100_000) + b"[" * 100_000,
        "a tensor beyond the end": lying(**floats, data_offsets=[0, 10**12]),
        "a tensor from its end to its start": lying(**floats, data_offsets=[48, 0]),
        "a tensor from -48": lying(**floats, data_offsets=[-48, 0]),
        "a name of a hundred lines": lying(name="a\n" * 100, **floats, data_offsets=[48, 0]),
        "a tensor of more bytes than numbers": lying(
            dtype="F32", shape=[3, 3], data_offsets=[0, 48]
        ),
        "a tensor of 2^62 x 2^62": lying(dtype="F32", shape=[2**62, 2**62], data_offsets=[0, 48]),
        "a tensor of -3 x 4": lying(dtype="F32", shape=[-3, 4], data_offsets=[0, 48]),
        "a tensor of an unknown type": lying(dtype="Q7", shape=[3, 4], data_offsets=[0, 48]),
        "a shape of text": lying(dtype="F32", shape="3x4", data_offsets=[0, 48]),
        "metadata of numbers": struct.pack("<Q", 32) + b'{"__metadata__":{"frcnn":12345}}',
        "foreign tensors": save(_TENSOR),
        "an empty description": save(_TENSOR, {"frcnn": ""}),
        "a description of lists in lists": save(_TENSOR, {"frcnn": "[" * 100_000}),
        "a description of a number": save(_TENSOR, {"frcnn": "5"}),
        "a description of NaN": save(_TENSOR, {"frcnn": "NaN"}),
    }


def good_description() -> dict[str, Any]:
    small = Preprocessing(scale=64, max_size=120)
    architecture = Architecture("efficientnet_lite0", ("cat", "dog"), (16, 16), small)
    return {"format": 2, "architecture": asdict(architecture), "weights": "float32", "origin": {}}


def described(description: Any, tensors: dict[str, torch.Tensor] | None = None) -> bytes:
    return save(_TENSOR if tensors is None else tensors, {"frcnn": json.dumps(description)})


def descriptions() -> dict[str, Any]:
    """Descriptions of networks that do not match the tensors, or that cannot exist."""

    def changed(**values: Any) -> dict[str, Any]:
        found = good_description()
        found["architecture"].update(values)
        return found

    def preprocessed(**values: Any) -> dict[str, Any]:
        found = good_description()
        found["architecture"]["preprocessing"].update(values)
        return found

    def experiment(values: Any) -> dict[str, Any]:
        return good_description() | {"origin": {"experiment": values}}

    return {
        "another architecture": changed(backbone="vgg16"),
        "an unknown backbone": changed(backbone="transformer_of_2031"),
        "a backbone of a hundred lines": changed(backbone="vgg\n" * 100),
        "a backbone of 5 million letters": changed(backbone="v" * 5_000_000),
        "a coding of a hundred lines": changed(box_coding="polar\n" * 100),
        "ranks of a layer of a hundred lines": changed(ranks={"fc\n" * 100: 5}),
        "a backbone that is a path": changed(backbone="../../etc/passwd"),
        "a torchvision backbone that is not a network": changed(backbone="torchvision:os"),
        "a torchvision backbone that is a detector": changed(
            backbone="torchvision:fasterrcnn_resnet50_fpn"
        ),
        "layers of 10^12": changed(hidden=[10**12, 10**12]),
        "layers of 1e308": changed(hidden=[1e308, 16]),
        "layers of -1": changed(hidden=[-1, 16]),
        "layers of text": changed(hidden=["many", 16]),
        "one layer": changed(hidden=[16]),
        "no classes": changed(classes=[]),
        "a class twice": changed(classes=["cat", "cat"]),
        "a million classes": changed(classes=[str(number) for number in range(1_000_000)]),
        "classes of a number": changed(classes=5),
        "ranks of 10^12": changed(ranks={"fc6": 10**12}),
        "ranks of an unknown layer": changed(ranks={"fc9": 5}),
        "ranks of a list": changed(ranks=[1, 2]),
        "an unknown coding": changed(box_coding="polar"),
        "an unknown classifier": changed(classifier="oracle"),
        "an unknown setting": preprocessed(colour="green"),
        "a scale of -1": preprocessed(scale=-1),
        "a scale of 10^6": preprocessed(scale=10**6, max_size=10**6),
        "a scale of 10^30": preprocessed(scale=10**30, max_size=10**30),
        "a scale of text": preprocessed(scale="large"),
        "a scale of NaN": preprocessed(scale=float("nan")),
        "a mean of infinity": preprocessed(mean=[float("inf"), 0, 0]),
        "a deviation of 0": preprocessed(std=[0, 1, 1]),
        "a resize of another kind": preprocessed(resize="uint16"),
        "a divisor of NaN": preprocessed(divisor=float("nan")),
        "no preprocessing": changed(preprocessing=None),
        "no architecture": {"format": 2, "origin": {}},
        "an architecture of a list": {"format": 2, "origin": {}, "architecture": [1]},
        "an experiment of a list": experiment([1]),
        "an experiment of a number of 400 digits": experiment(
            {"schedule": {"learning_rate": 10**400}}
        ),
        "an experiment of 10^30 proposals": experiment({"detect": {"proposals": 10**30}}),
        "settings of a list": good_description() | {"origin": {"settings": [1]}},
        "an origin of a list": good_description() | {"origin": []},
        "a newer version": good_description() | {"format": 4},
        "a version of 10^30": good_description() | {"format": 10**30},
        "a version of text": good_description() | {"format": "two"},
        "no version": {"origin": {}, "architecture": good_description()["architecture"]},
    }


def runs() -> dict[str, Callable[[Path], None]]:
    """Folders of training runs that cannot be resumed."""
    whole = good_description()
    progress = {"iteration": 5, "settings": nested(TrainSettings()), "origin": {}, "best": None}

    def run(checkpoint: bytes | None = None, setting: bytes | None = None) -> Any:
        def make(folder: Path) -> None:
            (folder / "run").mkdir()
            if checkpoint is not None:
                (folder / "run" / "checkpoint.safetensors").write_bytes(checkpoint)
            if setting is not None:
                (folder / "run" / "setting.toml").write_bytes(setting)

        return make

    def stored(**values: Any) -> Any:
        return run(described(whole | {"origin": progress | values}))

    def file_in_place(folder: Path) -> None:
        (folder / "run").write_text("a file")

    content = described(whole | {"origin": progress})
    return {
        "no run": lambda folder: None,
        "an empty folder": run(),
        "a file in its place": file_in_place,
        "an empty one": run(b""),
        "a truncated one": run(content[:-20]),
        "a truncated head": run(content[:100]),
        "a model in its place": run(described(whole)),
        "without weights": run(described(whole | {"origin": progress}, {})),
        "of another architecture": stored(),
        "of a newer version": run(described(whole | {"format": 9, "origin": progress})),
        "of text iterations": stored(iteration="many"),
        "of an unknown setting": stored(settings={"speed": "warp"}),
        "of a setting of another type": stored(settings={"batch": {"images": "two"}}),
        "of settings in a list": stored(settings=[1, 2]),
        "of an origin in a list": stored(origin=[1]),
        "of a best score of text": stored(best="high"),
        "only a setting that is not TOML": run(setting=b"[[[["),
        "only a setting of nulls": run(setting=bytes(100)),
        "only a setting in an unknown encoding": run(setting=b"\xff\xfd\xfa"),
        "only a setting of nested lists": run(setting=b"a = " + b"[" * 100_000),
        "only a setting of an unknown name": run(setting=b"[train]\nspeed = 9\n"),
        "only a setting of another type": run(setting=b"[train]\nseed = 'x'\n"),
        "only a setting of infinity": run(setting=b"[train]\nmomentum = inf\n"),
        "only a setting of a dataset that is gone": run(
            setting=b"[data]\ndataset = '/nowhere/at/all'\n"
        ),
    }


def weights() -> dict[str, bytes]:
    """.pth files for torchvision's networks, which are zips of a pickle and raw numbers."""

    class Runs:
        def __reduce__(self) -> Any:
            import os

            return os.system, ("touch ran",)

    def saved(value: Any) -> bytes:
        file = io.BytesIO()
        torch.save(value, file)
        return file.getvalue()

    def zipped(**files: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name.replace("__", "/"), content)
        return file.getvalue()

    good = saved({"conv1.weight": torch.ones(3, 4)})
    harmless = pickle.dumps({"a": 1}, 2)
    found = {
        "a pickle that runs": pickle.dumps(Runs(), 2),
        "a zip with a pickle that runs": zipped(archive__data_pkl=pickle.dumps(Runs(), 2)).replace(
            b"data_pkl", b"data.pkl"
        ),
        "an object that runs": saved({"conv1.weight": Runs()}),
        "a whole module": saved(torch.nn.Linear(3, 4)),
        "an empty file": b"",
        "text": b"not weights\n" * 50,
        "an empty zip": zipped(),
        "a zip of nulls": zipped(archive__data_pkl=bytes(100 << 20)).replace(
            b"data_pkl", b"data.pkl"
        ),
        "a zip with names outside its folder": zipped(**{"..__..__etc__passwd": harmless}),
        "a pickle of a dict": harmless,
        "no tensors": saved({"conv1.weight": 5}),
        "a list": saved([torch.ones(3)]),
        "only a tensor": saved(torch.ones(3)),
        "foreign tensors": good,
        "tensors of NaN": saved({"conv1.weight": torch.full((64, 3, 7, 7), float("nan"))}),
        "no names": saved({}),
    }
    return found | {f"zip {what}": content for what, content in [*cuts(good), *flips(good, 6)]}


def caffemodels() -> dict[str, bytes]:
    most = b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f"
    name = b"\x0a\x05conv1"
    values = np.ones(12, "<f4").tobytes()

    def chunk(field: int, content: bytes) -> bytes:
        length, encoded = len(content), bytearray()
        while length >= 128:
            encoded.append(length % 128 + 128)
            length //= 128
        return bytes([field << 3 | 2, *encoded, length]) + content

    def layer(*shape: int, count: int = 12) -> bytes:
        sizes = b"".join(bytes([number]) for number in shape)
        blob = chunk(7, chunk(1, sizes)) + chunk(5, values[: 4 * count])
        return bytes([100 << 3 & 127 | 128 | 2, 100 >> 4]) + chunk(7, name + chunk(7, blob))[1:]

    good = layer(3, 4)
    found = {
        "empty": b"",
        "text": b'name: "CaffeNet"\nlayer { name: "conv1" }\n',
        "nulls": bytes(500),
        "a field of 2^63 bytes": b"\x0a" + most + b"abc",
        "an endless number": b"\xff" * 500,
        "nested groups": b"\x0b" * 10_000,
        "a million empty fields": b"\x0a\x00" * 1_000_000,
        "a layer of more numbers than it holds": layer(100, 100),
        "a layer of fewer numbers than it holds": layer(3, 3),
        "a layer of no whole numbers": layer(3, 4, count=11),
        "a layer twice": good * 2,
        "one layer of another network": good,
    }
    return found | dict([*cuts(good), *flips(good, 6)])
