"""Read the arrays of each layer from a .caffemodel, in bounded memory.

A file is one NetParameter. Its fields are scanned for layers, and the protobuf library parses one
layer at a time. So memory depends on what the file contains, not on what it claims.

Only the fields needed for weights are declared, with the field numbers of caffe.proto. Packed
numbers are declared as bytes (both are length-delimited), so that millions of weights do not become
a list of Python numbers, and a message takes no more memory than its file. Names are bytes too,
since a file may contain names that are not text.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.reading import open_file

# Networks whose files can be read, by the names of their backbones.
NETWORKS = ("vgg16", "vgg_cnn_m_1024", "caffenet")
Array = NDArray[np.float32]
_LARGEST = 2**31 - 1  # bytes of a protobuf message, and so of any file written by Caffe
_MOST_FIELDS = 10_000  # of a net or a layer; thousands of times as many as in real files
_MOST_DIMENSIONS = 32
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5  # wire types
# Fields of NetParameter with one layer each: field number -> message.
LAYER_FIELDS = {100: "LayerParameter", 2: "V1LayerParameter"}
# message -> {field: (number, kind)}
_MESSAGES = {
    "BlobShape": {"dim": (1, "repeated int64")},
    "BlobProto": {
        "num": (1, "int32"),
        "channels": (2, "int32"),
        "height": (3, "int32"),
        "width": (4, "int32"),
        "data": (5, "bytes"),  # packed float
        "shape": (7, "bytes"),  # a BlobShape, parsed after its size is checked
        "double_data": (8, "bytes"),  # packed double
    },
    "LayerParameter": {"name": (1, "bytes"), "blobs": (7, "repeated BlobProto")},
    "V1LayerParameter": {"name": (4, "bytes"), "blobs": (6, "repeated BlobProto")},
}


def read_caffemodel(path: Path) -> dict[str, list[Array]]:
    """Read the arrays (weights, then biases) of all layers that have any, by layer name.

    Shapes are as in the file. In older files, they always have four dimensions: (1, 1, outputs,
    inputs) for a fully connected layer and (1, 1, 1, n) for a bias. Raises InputError, which names
    the file, if it is missing, truncated, not a .caffemodel, or inconsistent.
    """
    if not path.is_file():
        raise InputError(f"{path}: file not found.")
    layers: dict[str, list[Array]] = {}
    try:
        for name, arrays in _layers(path):
            if name in layers:
                raise ValueError(f"two layers are named {name}")
            layers[name] = arrays
    except ValueError as error:
        raise InputError(
            f"{path}: not a .caffemodel, or damaged: {error}.\n"
            "Copy or download the complete file again."
        ) from error
    if not layers:
        raise InputError(
            f"{path}: no layer in this file has a name and weights.\n"
            "Use a .caffemodel, not a .prototxt. Convert a file from before 2014 with Caffe's\n"
            "upgrade_net_proto_binary first."
        )
    return layers


def _layers(path: Path) -> Iterator[tuple[str, list[Array]]]:
    """Yield names and arrays of the layers that have both. Raises ValueError for a damaged file."""
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > _LARGEST:
            raise ValueError(f"it has {size:,} bytes, more than the 2 GiB of a protobuf message")
        for number, content in _fields(file, size, LAYER_FIELDS):
            layer = _parsed(LAYER_FIELDS[number], content)
            name = layer.name.decode(errors="replace")
            if name and layer.blobs:
                yield _shown(name), [_array(_shown(name), blob) for blob in layer.blobs]


def _fields(file: BinaryIO, size: int, requested: dict[int, str]) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of the length-delimited fields in `requested`; skip other fields.

    Raises ValueError if the fields do not form a message of `size` bytes.
    """
    for _ in range(_MOST_FIELDS):
        start = file.tell()
        if start == size:
            return
        number, kind = divmod(_varint(file), 8)
        length = {_FIXED64: 8, _FIXED32: 4}.get(kind, 0)
        if kind in (_VARINT, _DELIMITED):
            value = _varint(file)
            length = value if kind == _DELIMITED else 0
        elif length == 0 or number == 0:
            raise ValueError(f"no field of a message starts at byte {start}")
        if length > size - file.tell():
            raise ValueError(f"it ends within the field that starts at byte {start}")
        if kind == _DELIMITED and number in requested:
            yield number, file.read(length)
        else:
            file.seek(length, os.SEEK_CUR)
    raise ValueError(f"a message has more than {_MOST_FIELDS:,} fields")


def _varint(file: BinaryIO) -> int:
    """Read a number stored with seven bits per byte, lowest bits first."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("it ends within a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number is longer than 64 bits")


def _parsed(kind: str, content: bytes) -> Any:
    from google.protobuf.message import DecodeError

    message = message_class(kind)()
    for _ in _fields(io.BytesIO(content), len(content), {}):
        pass  # only counted: parsed, a million empty fields take far more memory than bytes
    try:
        message.ParseFromString(content)
    except DecodeError as error:
        raise ValueError(f"a {kind} cannot be parsed") from error
    return message


def _array(layer: str, blob: Any) -> Array:
    """The numbers of a BlobProto in its shape. Raises ValueError if their count does not fit."""
    kind, content = ("<f8", blob.double_data) if blob.double_data else ("<f4", blob.data)
    count, rest = divmod(len(content), np.dtype(kind).itemsize)
    shape = _shape(layer, blob)
    if rest or math.prod(shape) != count:
        claimed = " x ".join(map(str, shape))[:60]
        raise ValueError(f"layer {layer} claims {claimed} numbers but contains {count:,}")
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite
        return np.frombuffer(content, kind, count).astype(np.float32).reshape(shape)


def _shape(layer: str, blob: Any) -> tuple[int, ...]:
    if not blob.HasField("shape"):
        shape = (blob.num, blob.channels, blob.height, blob.width)
    elif len(blob.shape) > 10 * _MOST_DIMENSIONS:
        raise ValueError(f"layer {layer} has too many dimensions")
    else:
        shape = tuple(_parsed("BlobShape", blob.shape).dim)
    if len(shape) > _MOST_DIMENSIONS or min(shape, default=1) < 0:
        raise ValueError(f"layer {layer} has an impossible shape")
    return shape


def _shown(name: str) -> str:
    """A layer's name, shortened and printable, for messages."""
    return "".join(c if c.isprintable() else "?" for c in name[:60])


@cache
def message_class(name: str) -> Any:
    """The protobuf class of a message in _MESSAGES, such as LayerParameter.

    Raises InputError if the protobuf library is not installed.
    """
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError as error:
        raise InputError(
            f"Reading a .caffemodel needs protobuf, which cannot be imported ({reason(error)}).\n"
            "Install it with `pip install protobuf`."
        ) from error
    file = descriptor_pb2.FileDescriptorProto(name="frcnn_caffe.proto", package="caffe")
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for field, (number, kind) in fields.items():
            repeated, plain = kind.startswith("repeated "), kind.removeprefix("repeated ")
            entry = described.field.add(name=field, number=number)
            entry.label = entry.LABEL_REPEATED if repeated else entry.LABEL_OPTIONAL
            if plain in _MESSAGES:
                entry.type, entry.type_name = entry.TYPE_MESSAGE, f".caffe.{plain}"
            else:
                entry.type = getattr(entry, f"TYPE_{plain.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}"))
