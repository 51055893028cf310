"""The memory of detection does not grow with the number of images, beyond their results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

# Nearly 100 detections per image. Prints the resident memory in MB after each of the given numbers.
CHILD = """
import sys
import torch
from pathlib import Path
from frcnn_cli.engine.detection.images import collect_results, detect_files
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.proposals.source_calls import SourceCalls
from frcnn_cli.engine.settings import Architecture, DetectSettings, Preprocessing
from frcnn_proposals.sources.dense import DenseBoxes

torch.set_num_threads(1)
torch.manual_seed(0)
preprocessing = Preprocessing(scale=64, max_size=120)
classes = tuple(f"class{number}" for number in range(20))
model = FastRCNN(Architecture("efficientnet_lite0", classes, (24, 16), preprocessing)).eval()
folder, *marks = Path(sys.argv[1]), *map(int, sys.argv[2:])
paths = sorted(folder.iterdir())
files = [(f"{n:05d}", paths[n % len(paths)]) for n in range(marks[-1])]
done = 0

def finish(result):
    global done
    done += 1
    assert len(result.found) > 50, result.error
    if done in marks:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        print(pages * 4096 / 1e6)

settings = DetectSettings(score_threshold=0.0)
source = SourceCalls(DenseBoxes())
collect_results(detect_files(prepare_model(model, "float32"), files, source, settings), finish)
"""


# The result of the first image lies above 52 MB that are freed.
FRAGMENTS = """
import sys
import numpy as np
import torch
from pathlib import Path
from frcnn_cli.engine.detection.images import collect_results, process_files
from frcnn_cli.engine.distributed.streams import Streams
from frcnn_proposals.base import Proposals

folder, *marks = Path(sys.argv[1]), *map(int, sys.argv[2:])
path = next(folder.iterdir())
done = 0

def compute(image_id, image, proposals):
    blocks = [np.ones(65_000, np.uint8) for _ in range(800 if int(image_id) == 0 else 0)]
    return np.ones(100_000 if blocks else 100, np.uint8)

def finish(_):
    global done
    done += 1
    if done in marks:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        print(pages * 4096 / 1e6)

files = [(f"{n:05d}", path) for n in range(marks[-1])]
nothing = Proposals(np.zeros((0, 4), np.float32))
if sys.argv[0] != "rows":
    streams = Streams(torch.device("cpu"))
    store = lambda image_id, values: values
    collect_results(process_files(compute, store, files, lambda *_: nothing, streams), finish)
"""

# The same for rows, from which `--parts` is written.
FRAGMENTS_OF_ROWS = f"""
import sys
sys.argv[0] = "rows"
{FRAGMENTS}
from frcnn_cli.engine.detection.rows import map_items
from frcnn_cli.engine.parts.rows import Item

def boxes_of(image_id):
    found = compute(image_id, None, None)
    return Proposals(found[: len(found) // 16 * 16].view(np.float32).reshape(-1, 4))

rows = []
for row in map_items([Item(*file) for file in files], lambda item: item.name, boxes_of):
    rows.append(row)
    finish(row)
"""


def growth(folder: Path, first: int, last: int, child: str = CHILD) -> float:
    """MB of resident memory from the `first` to the `last` image of 64 x 64."""
    rng = np.random.default_rng(0)
    for number in range(10):
        pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(folder / f"{number}.png")
    run = subprocess.run(
        [sys.executable, "-c", child, str(folder), str(first), str(last)],
        check=True,
        capture_output=True,
        text=True,
    )
    before, after = map(float, run.stdout.split())
    return after - before


@pytest.mark.parametrize("child", [FRAGMENTS, FRAGMENTS_OF_ROWS])
def test_freed_memory_below_a_result_is_returned(child: str, tmp_path: Path) -> None:
    assert growth(tmp_path, 1, 50, child) < -40


def test_resident_memory(tmp_path: Path) -> None:
    assert growth(tmp_path, 100, 300) < 20


@pytest.mark.long
def test_resident_memory_of_thousands(tmp_path: Path) -> None:
    assert growth(tmp_path, 500, 2500) < 20
