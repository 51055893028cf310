"""The protobuf messages of Caffe's model files, as far as weights need them.

Field numbers are those of caffe.proto. Packed numbers are declared as the bytes that they are
on the wire (both are length-delimited): no list of Python numbers is made of millions of
weights, and a message never takes more memory than its file. Names are bytes, too, since
nobody promises that they are text.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from frcnn_proposals.errors import InputError, reason

# Of NetParameter: field -> message of one layer.
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
        "shape": (7, "bytes"),  # a BlobShape, read once its size is known to be sane
        "double_data": (8, "bytes"),  # packed double
    },
    "LayerParameter": {"name": (1, "bytes"), "blobs": (7, "repeated BlobProto")},
    "V1LayerParameter": {"name": (4, "bytes"), "blobs": (6, "repeated BlobProto")},
}


@cache
def message_class(name: str) -> Any:
    """The class of BlobShape, LayerParameter or V1LayerParameter.

    Raises InputError where the protobuf library is not installed.
    """
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError as error:
        raise InputError(
            f"Reading Caffe's models needs protobuf, which cannot be imported ({reason(error)}).\n"
            "Install it: pip install protobuf"
        ) from error
    file = descriptor_pb2.FileDescriptorProto(name="frcnn_caffe.proto", package="caffe")
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for field, (number, kind) in fields.items():
            _describe(described.field.add(name=field, number=number), kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}"))


def _describe(field: Any, kind: str) -> None:
    """Fill a FieldDescriptorProto in for `int32`, `bytes`, `repeated int64` or a message."""
    repeated, name = kind.startswith("repeated "), kind.removeprefix("repeated ")
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if name in _MESSAGES:
        field.type, field.type_name = field.TYPE_MESSAGE, f".caffe.{name}"
    else:
        field.type = getattr(field, f"TYPE_{name.upper()}")
