"""Truncated, damaged and malicious Caffe files are rejected with a short message."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from caffe_files import (
    POOLED,
    caffenet_arrays,
    chunk,
    detector_arrays,
    layer,
    new_blob,
    new_file,
    new_layer,
    number,
    old_layer,
    varint,
    write,
)

from frcnn_cli.engine.exchange import caffe_file
from frcnn_cli.engine.exchange.caffe_file import read_caffemodel
from frcnn_cli.engine.exchange.caffe_import import import_caffe_model
from frcnn_proposals.errors import InputError

SMALL = {"conv1": layer(0, (2, 3, 2, 2)), "fc6": layer(1, (2, 5))}


def error_for(path: Path, network: str | None = None) -> str:
    """The error message, checked to be short and to name the file."""
    with pytest.raises(InputError) as caught:
        read_caffemodel(path) if network is None else import_caffe_model(path, network, ("a", "b"))
    message = str(caught.value)
    assert message.startswith(str(path))
    assert len(message.splitlines()) <= 3
    assert max(map(len, message.replace(str(path), "").splitlines())) < 160
    return message


def test_a_complete_file_is_read(tmp_path: Path) -> None:
    found = read_caffemodel(write(tmp_path / "net.caffemodel", new_file(SMALL)))
    assert list(found) == ["conv1", "fc6"]
    assert np.array_equal(found["conv1"][0], SMALL["conv1"][0])
    assert found["fc6"][0].shape == (2, 5)


def test_a_file_truncated_anywhere_is_an_error_or_has_fewer_layers(tmp_path: Path) -> None:
    content = new_file(SMALL)
    for end in range(len(content)):
        path = write(tmp_path / "cut.caffemodel", content[:end])
        try:
            layers = list(read_caffemodel(path))
        except InputError:
            error_for(path)
        else:
            assert layers == ["conv1"]  # cut between two layers


def test_any_damaged_byte_is_handled(tmp_path: Path) -> None:
    content = new_file({"fc6": layer(1, (2, 5))})
    draw = np.random.default_rng(0)
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= int(draw.integers(1, 256))
        path = write(tmp_path / "damaged.caffemodel", bytes(damaged))
        try:
            read_caffemodel(path)
        except InputError:
            error_for(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"name: 'CaffeNet'\nlayer { name: 'conv1' type: 'Convolution' }\n",
        b"\x89HDF\r\n\x1a\n" + bytes(100),
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"PK\x03\x04" + bytes(100),
        bytes(1000),
        b"\xff" * 1000,
        np.random.default_rng(1).bytes(5000),
        chunk(1, b"a net without layers"),
        chunk(2, chunk(1, chunk(1, b"conv1") + chunk(50, bytes(8)))),  # older than V1
        chunk(100, chunk(7, new_blob(np.zeros(2, np.float32)))),  # a layer without a name
    ],
)
def test_other_files_are_rejected(tmp_path: Path, content: bytes) -> None:
    error_for(write(tmp_path / "other.caffemodel", content))


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert "file not found" in error_for(tmp_path / "none.caffemodel")
    assert "file not found" in error_for(tmp_path)


HUGE = 2**40
HOSTILE = {
    "a layer longer than the file": varint(100 << 3 | 2) + varint(HUGE) + b"x",
    "a layer of 2**64 - 1 bytes": varint(100 << 3 | 2) + b"\xff" * 9 + b"\x01",
    "a number that never ends": b"\x80" * 100,
    "a shape of 2**40 numbers": new_layer("fc6", new_blob(np.zeros(4, np.float32), (HUGE, 1))),
    "a shape whose product is 2**80": new_layer(
        "fc6", new_blob(np.zeros(4, np.float32), (HUGE,) * 2)
    ),
    "a negative shape": new_layer("fc6", new_blob(np.zeros(4, np.float32), (-2, -2))),
    "an old shape that overflows": old_layer(
        "fc6", b"".join(number(i, 2**31 - 1) for i in range(1, 5)) + chunk(5, bytes(16))
    ),
    "a shape of a thousand dimensions": new_layer(
        "fc6", new_blob(np.zeros(1, np.float32), (1,) * 1000)
    ),
    "a shape of 33 dimensions": new_layer("fc6", new_blob(np.zeros(1, np.float32), (1,) * 33)),
    "a shape that is no message": new_layer("fc6", chunk(7, b"\xff\xff") + chunk(5, bytes(4))),
    "half a number": new_layer("fc6", chunk(7, chunk(1, b"\x01")) + chunk(5, bytes(3))),
    "numbers of no known kind": new_layer("fc6", number(1, 1) + struct.pack("<B", 0xFF)),
    "a million empty layers": chunk(100, b"") * 1_000_000,
    "a layer of millions of empty arrays": chunk(100, chunk(1, b"a") + chunk(7, b"") * 5_000_000),
    "two layers of one name": new_file(SMALL) + new_file(SMALL),
    "a long name with control characters": new_layer(
        "a\x1b[31m\n" * 50, new_blob(np.zeros(2, np.float32), (7,))
    ),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_malicious_files_are_rejected(tmp_path: Path, content: bytes) -> None:
    assert "\x1b" not in error_for(write(tmp_path / "hostile.caffemodel", content))


# Reads the files and prints the growth of the peak memory in KiB. The peak of getrusage would
# include the peak of the parent process.
READ = """
import re, sys
from pathlib import Path
from frcnn_cli.engine.exchange.caffe_file import message_class, read_caffemodel
from frcnn_proposals.errors import InputError

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

message_class("BlobProto")
before = peak()
for path in sys.argv[1:]:
    try:
        read_caffemodel(Path(path))
    except InputError:
        pass
print(peak() - before)
"""


def growth(*paths: Path) -> int:
    done = subprocess.run(
        [sys.executable, "-c", READ, *map(str, paths)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_memory_does_not_depend_on_claimed_sizes(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / f"{index}.caffemodel", content)
        for index, content in enumerate(HOSTILE.values())
    ]
    assert growth(*paths) < 40_000  # the largest file has 10,000
    # The measurement works: a valid file of 40 MB is noticed.
    valid = new_file({"fc6": (np.zeros((1000, 10_000), np.float32),)})
    assert growth(write(tmp_path / "valid.caffemodel", valid)) > 40_000


def test_a_file_over_two_gigabytes_is_rejected_without_reading(tmp_path: Path) -> None:
    path = tmp_path / "large.caffemodel"
    with path.open("wb") as file:
        file.truncate(3 << 30)  # sparse: takes no disk space
    assert "2 GiB" in error_for(path)
    assert growth(path) < 10_000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"conv1": layer(0, (96, 3, 7, 7))}, "96 x 3 x 7 x 7, expected 96 x 3 x 11 x 11"),
        ({"conv2": layer(0, (256, 96, 5, 5))}, "expected 256 x 48 x 5 x 5"),
        ({"conv3": None}, "it has no layer conv3"),
        ({"conv4": layer(0, (384, 192, 3, 3), bias=False)}, "conv4 has 1 arrays, not 2"),
        ({"fc6": layer(0, (8, POOLED + 1))}, f"expected n x {POOLED}"),
        ({"fc7": layer(0, (6, 9))}, "expected n x 8"),
        ({"fc7": None}, "it has no layer fc7"),
        ({"bbox_pred": layer(0, (8, 6))}, "expected 12 x 6"),
        ({"fc6": None, "fc6_L": layer(0, (3, POOLED), bias=False)}, "no layer fc6_U"),
        ({"fc6": None, "fc6_L": layer(0, (3, POOLED))}, "fc6_L has 2 arrays, not 1"),
        ({"rpn_cls_score": layer(0, (2, 3))}, "rpn_cls_score is not part of this network"),
        ({"fc7": [np.full((6, 8), np.nan, np.float32), np.zeros(6, np.float32)]}, "not finite"),
        ({"fc7": [np.full((6, 8), 1e300), np.zeros(6)]}, "not finite"),
        ({"cls_score": [layer(0, (3, 6))[0], np.array([0, np.inf, 0], np.float32)]}, "not finite"),
    ],
)  # fmt: skip
def test_networks_that_do_not_fit_are_rejected(
    tmp_path: Path, change: dict[str, list[np.ndarray] | None], words: str
) -> None:
    arrays = {**detector_arrays(), **change}
    content = new_file({name: blobs for name, blobs in arrays.items() if blobs is not None})
    assert words in error_for(write(tmp_path / "a.caffemodel", content), "caffenet")


def test_the_error_for_another_network_suggests_others(tmp_path: Path) -> None:
    path = write(tmp_path / "a.caffemodel", new_file(caffenet_arrays()))
    message = error_for(path, "vgg16")
    assert "no layer conv1_1 (its layers are conv1, conv2" in message
    assert "--arch vgg_cnn_m_1024 or caffenet" in message


def test_without_protobuf_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    caffe_file.message_class.cache_clear()
    path = write(tmp_path / "net.caffemodel", new_file(SMALL))
    with pytest.raises(InputError, match="pip install protobuf"):
        caffe_file.read_caffemodel(path)
