"""The compiled selective search: equal to a plain reference, to results by hand, and everywhere."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from child_runs import run_child
from selective_search_reference import search

from frcnn_kernels._library import INSTRUCTION_SETS
from frcnn_kernels.selective_search import COLOUR_SPACES, selective_search

REPOSITORY = Path(__file__).resolve().parents[2]
CSRC = REPOSITORY / "kernels/csrc"
ALL_SETS = ("CTSF", "TSF", "F", "S")
# SHA-256 of digest(). Change it only together with the version of the source.
GOLDEN = "4497d5d45c6f684f7a02ed9b972adb85988d0b6b39899db2c325b086baf85975"


def scene(height: int, width: int) -> np.ndarray:
    """Blocks, discs, ramps and noise by integer arithmetic: the same on every machine."""
    y, x = np.mgrid[:height, :width].astype(np.int64)
    block = (x // 17) * 37 + (y // 13) * 91
    noise = ((x * 7919 + y * 104729) * 2654435761 >> 13) % 23
    disc = (x - width // 3) ** 2 + (y - height // 2) ** 2 < (min(height, width) // 4) ** 2
    channels = [
        block * 3 % 200 + noise,
        np.where(disc, 190 + noise, x * 255 // width),
        np.where(disc, 40, (y * 200 // height + block) % 230 + noise),
    ]
    return np.clip(np.stack(channels, axis=2), 0, 255).astype(np.uint8)


def boxes_of(image, spaces=("grey",), thresholds=(50,), sets=("CTSF",), **options):
    found = selective_search(torch.from_numpy(image), spaces, thresholds, sets, **options)
    return [tuple(box) for box in found.tolist()]


def digest() -> str:
    image = torch.from_numpy(scene(90, 120))
    found = hashlib.sha256()
    for connectivity in (4, 8):
        boxes = selective_search(
            image, COLOUR_SPACES, (50, 200), ALL_SETS, connectivity=connectivity, min_region=30
        )
        found.update(boxes.numpy().astype("<i4").tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("letters", [*ALL_SETS, "C", "T", "CT", "SF"])
def test_equals_the_reference(letters):
    image = scene(41, 56)
    expected = search(image, [60, 150], [letters], base_threshold=40, min_region=25)
    found = boxes_of(image, thresholds=(60, 150), sets=(letters,), base_threshold=40, min_region=25)
    assert len(expected) > 20
    assert found == expected


@pytest.mark.parametrize("connectivity", [4, 8])
def test_equals_the_reference_over_many_sets_at_once(connectivity):
    image = scene(37, 64)
    options = {"connectivity": connectivity, "base_threshold": 20, "min_region": 30}
    expected = search(image, [30, 90, 300], ALL_SETS, **options)
    assert boxes_of(image, thresholds=(30, 90, 300), sets=ALL_SETS, **options) == expected


def wide_images_equal_the_reference() -> None:
    """Rows longer than the blocks in which the loops process them, and rows that end inside one."""
    for height, width in ((4, 300), (5, 129), (9, 16), (7, 33), (40, 3)):
        image = scene(height, width)
        for connectivity in (4, 8):
            options = {"connectivity": connectivity, "base_threshold": 20, "min_region": 5}
            expected = search(image, [30], ("F",), **options)
            found = boxes_of(image, thresholds=(30,), sets=("F",), **options)
            assert found == expected, (height, width, connectivity)


@pytest.mark.parametrize("name", INSTRUCTION_SETS)
def test_wide_images_equal_the_reference_with_every_instruction_set(name):
    code = "import test_selective_search as t; t.wide_images_equal_the_reference(); print('equal')"
    assert _run_child(code, FRCNN_ISA=name) == "equal"


def stripes(*widths: int, height: int = 40) -> np.ndarray:
    """Vertical stripes of very different greys."""
    greys = np.repeat([0, 255, 60, 190, 120][: len(widths)], widths).astype(np.uint8)
    return np.repeat(np.tile(greys, (height, 1))[:, :, None], 3, axis=2)


def test_two_halves_are_two_regions_and_the_whole():
    assert set(boxes_of(stripes(20, 30))) == {(0, 0, 19, 39), (20, 0, 49, 39), (0, 0, 49, 39)}


def test_size_joins_the_smallest_neighbours_first():
    # Widths 30, 12, 10, 20: 12 with 10, then the 22 with 20, then all.
    boxes = boxes_of(stripes(30, 12, 10, 20), sets=("S",))
    single = {(0, 0, 29, 39), (30, 0, 41, 39), (42, 0, 51, 39), (52, 0, 71, 39)}
    assert set(boxes) == single | {(30, 0, 51, 39), (30, 0, 71, 39), (0, 0, 71, 39)}


def test_colour_joins_the_most_similar_neighbours():
    # Greys 0, 9, 200: 0 and 9 share the darkest of 25 bins, but k is so small that the segmentation
    # keeps them apart.
    image = stripes(20, 20, 20)
    image[:, 20:40], image[:, 40:] = 9, 200
    boxes = boxes_of(image, thresholds=(1,), sets=("C",), base_threshold=1)
    assert set(boxes) == {
        (0, 0, 19, 39),
        (20, 0, 39, 39),
        (40, 0, 59, 39),
        (0, 0, 39, 39),
        (0, 0, 59, 39),
    }


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (1, 300), (300, 1), (2, 2), (3, 5000)])
def test_small_and_thin_images(shape):
    height, width = shape
    boxes = boxes_of(scene(height, width), COLOUR_SPACES, (50, 400), ALL_SETS, min_region=1)
    corners = np.array(boxes)
    assert (0, 0, width - 1, height - 1) in boxes
    assert (corners[:, :2] >= 0).all()
    assert (corners[:, :2] <= corners[:, 2:]).all()
    assert (corners[:, 2:] < [width, height]).all()
    assert len(set(boxes)) == len(boxes)


@pytest.mark.parametrize("value", [0, 255, 77])
def test_one_colour_is_one_box(value):
    image = np.full((50, 70, 3), value, np.uint8)
    assert boxes_of(image, COLOUR_SPACES, (50, 400), ALL_SETS) == [(0, 0, 69, 49)]


def test_lists_are_cut_at_the_end_and_short_boxes_omitted():
    image = scene(90, 120)
    every = boxes_of(image, sets=ALL_SETS)
    assert len(set(every)) == len(every)
    assert boxes_of(image, sets=ALL_SETS, max_boxes=7) == every[:7]
    assert boxes_of(image, sets=ALL_SETS, max_boxes=0) == []
    long = [b for b in every if b[2] - b[0] + 1 >= 20 and b[3] - b[1] + 1 >= 20]
    assert 0 < len(long) < len(every)
    assert boxes_of(image, sets=ALL_SETS, min_side=20) == long


def test_strided_images_are_read_correctly():
    image = scene(60, 80)
    turned = torch.from_numpy(image.transpose(1, 0, 2).copy()).transpose(0, 1)
    found = selective_search(turned, ("lab",), (50,), ("CTSF",))
    assert [tuple(box) for box in found.tolist()] == boxes_of(image, ("lab",))


def test_golden():
    assert digest() == GOLDEN


def test_threads_return_the_same_boxes():
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: digest(), range(16))) == {GOLDEN}


def child_digest(**environment: str) -> str:
    code = "import test_selective_search as t; print(t.digest())"
    return _run_child(code, **environment)


def _run_child(code: str, **environment: str) -> str:
    child = run_child(code, **environment)
    assert child.returncode == 0, child.stderr
    return child.stdout.strip()


def test_other_processes_return_the_same_boxes():
    assert child_digest(OMP_NUM_THREADS="3", PYTHONHASHSEED="7") == GOLDEN


@pytest.mark.long
@pytest.mark.parametrize("flags", [["-O1", "-fno-tree-vectorize"], ["-O3", "-march=native"]])
def test_other_builds_return_the_same_boxes(flags, tmp_path):
    """Builds without vector code, and with all instructions of this machine."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        pytest.skip("no C++ compiler")
    from torch.utils import cpp_extension

    sources = [CSRC / "schema.cpp"]
    for pattern in ("selective_search/*.cpp", "common/*.cpp", "kernels_*.cpp"):
        sources += sorted((CSRC / "cpu").glob(pattern))
    library = tmp_path / "other.so"
    command = [compiler, "-std=c++20", "-fPIC", "-shared", "-fno-math-errno", *flags]
    command += ["-DTORCH_TARGET_VERSION=0x020a000000000000"]
    command += [f"-I{path}" for path in [CSRC, *cpp_extension.include_paths()]]
    command += [*map(str, sources), f"-L{cpp_extension.library_paths()[0]}"]
    command += ["-ltorch_cpu", "-o", str(library)]
    subprocess.run(command, check=True)
    # The child imports the wrapper's module without the package, which would load its own library.
    package = REPOSITORY / "kernels/frcnn_kernels"
    code = f"""
import sys, types, torch
package = types.ModuleType("frcnn_kernels"); package.__path__ = [{str(package)!r}]
sys.modules["frcnn_kernels"] = package
torch.ops.load_library({str(library)!r})
import test_selective_search as t; print(t.digest())
"""
    assert _run_child(code, FRCNN_ISA="baseline") == GOLDEN


def test_the_interpreter_lock_is_released():
    image = torch.from_numpy(scene(900, 1200))
    working = threading.Event()

    def work():
        working.set()
        selective_search(image, ("lab",), (100,), ("CTSF",))
        working.clear()

    thread = threading.Thread(target=work)
    thread.start()
    wakeups = 0
    while thread.is_alive():
        time.sleep(0.001)
        wakeups += working.is_set()
    # If the search held the lock, this thread would wake up only at its beginning and at its end.
    assert wakeups > 4


def test_invalid_arguments_are_rejected():
    image = torch.zeros((8, 9, 3), dtype=torch.uint8)
    for bad in (image[:, :, :2], image.float(), image[0], image[:0]):
        with pytest.raises(ValueError, match="image"):
            selective_search(bad, ("hsv",), (50,), ("F",))
    with pytest.raises(ValueError, match="unknown colour space 'rgb'"):
        selective_search(image, ("rgb",), (50,), ("F",))
    for letters in ("", "CC", "X", "cf"):
        with pytest.raises(ValueError, match="invalid similarities"):
            selective_search(image, ("hsv",), (50,), (letters,))
    with pytest.raises(ValueError, match="thresholds"):
        selective_search(image, ("hsv",), (0,), ("F",))
    with pytest.raises(ValueError, match="max_boxes"):
        selective_search(image, ("hsv",), (50,), ("F",), max_boxes=-1)
    with pytest.raises(ValueError, match="connectivity"):
        selective_search(image, ("hsv",), (50,), ("F",), connectivity=6)
    with pytest.raises(ValueError, match="min_region"):
        selective_search(image, ("hsv",), (50,), ("F",), min_region=0)


def test_torch_can_trace_it():
    image = torch.from_numpy(scene(30, 40))
    torch.library.opcheck(
        torch.ops.frcnn.selective_search,
        (image, [0, 1], [50], [15], 8, 50, 20, 1, 100),
        test_utils=("test_schema", "test_faketensor"),
    )
