"""Commands that need no network start fast and without torch and other heavy packages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from frcnn_cli.commands.bench.group import bench
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.models.presets import base_experiment
from frcnn_cli.engine.training.run_folder import write_setting
from frcnn_proposals.base import Proposals
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.writer import StoreWriter

HEAVY = {"torch", "torchvision", "cv2", "scipy", "matplotlib", "sklearn", "onnx", "pandas"}
MOST_BYTES = 100_000_000
# The goal is 0.5 s; the margin is for slow or busy machines.
MOST_SECONDS = 1.0

BENCHES = list(bench.lazy)
# (arguments of `frcnn`, exit code), run in a folder that contains
#   shapes/                  a small dataset
#   runs/begun/              a run without a checkpoint
#   runs/damaged/            a run whose checkpoint is damaged
#   model.safetensors        the header of a model file
#   boxes.proposals          a store of proposals
LINES = [
    ("--help", 0),
    ("--version", 0),
    ("nonsense", 2),
    ("train --help", 0),
    ("train --list-presets", 0),
    ("train", 2),
    ("train nowhere", 2),
    ("train shapes --preset paper-x", 2),
    ("train shapes --backbone efficientnet_lite9", 2),
    ("train shapes --backbone nosuchthing", 2),
    ("config show --backbone nosuchthing", 2),
    ("train shapes --set sampling.forground_iou=0.6", 2),
    ("train shapes --config nowhere.toml", 1),
    ("train shapes --init nowhere.safetensors", 2),
    ("train shapes --weights nowhere.pth", 1),
    ("train shapes --proposals nowhere.npz", 1),
    ("train --resume nowhere", 1),
    ("train --resume runs/damaged", 1),
    ("config --help", 0),
    ("config show", 0),
    ("config show shapes --preset paper-l --variant multiscale", 0),
    ("config show --run runs/begun", 0),
    ("config show --run model.safetensors", 0),
    ("config show --run nowhere", 2),
    ("runs", 0),
    ("runs --runs nowhere", 1),
    ("runs --help", 0),
    ("explain --help", 0),
    ("explain nowhere.jpg", 1),
    ("explain 000001 --dataset nowhere", 2),
    ("explain 00000 --dataset shapes", 2),
    ("explain 000001 --dataset shapes --model nowhere", 2),
    ("features --help", 0),
    ("features", 2),
    ("features shapes --out a.csv", 2),
    ("features shapes --out a.npz --model nowhere", 2),
    ("features shapes --out a.npz --proposals nowhere", 1),
    ("compress --help", 0),
    ("compress", 2),
    ("compress --energy 90", 2),
    ("compress --sweep 64,many", 2),
    ("compress nowhere.safetensors --svd-rank 4", 2),
    ("compress model.safetensors nowhere --svd-rank 4", 2),
    ("compress model.safetensors shapes --svd-rank 4 --proposals nowhere", 1),
    ("report --help", 0),
    ("report nowhere", 2),
    ("report --detections nowhere.json", 2),
    ("report --detections nowhere.json --dataset shapes", 2),
    ("report model.safetensors --dataset nowhere", 2),
    ("export --help", 0),
    ("export nowhere.safetensors", 2),
    ("export model.safetensors --out model.pt2", 2),
    ("export model.safetensors --top-k 9", 2),
    ("model --help", 0),
    ("model info --help", 0),
    ("model info vgg61", 2),
    ("model info voc-full", 2),
    ("model list", 0),
    ("model info nowhere.safetensors", 2),
    ("propose --help", 0),
    ("propose", 2),
    ("propose nowhere.jpg", 2),
    ("propose shapes --source selective-serch", 2),
    ("propose shapes --mode slow", 2),
    ("propose --list-sources", 0),
    ("proposals --help", 0),
    ("proposals nonsense", 2),
    ("proposals inspect --help", 0),
    ("proposals inspect boxes.proposals", 0),
    ("proposals inspect nowhere", 1),
    ("proposals convert --help", 0),
    ("proposals convert boxes.proposals boxes.csv --to csv", 0),
    ("proposals convert nowhere boxes.proposals", 1),
    ("proposals merge --help", 0),
    ("proposals merge boxes.proposals --out merged.proposals", 0),
    ("proposals merge nowhere --out merged.proposals", 1),
    ("proposals recall --help", 0),
    ("proposals recall nowhere --dataset shapes", 1),
    ("proposals recall boxes.proposals --dataset nowhere", 2),
    ("proposals draw --help", 0),
    ("proposals draw nowhere 000001 --dataset shapes", 1),
    ("data --help", 0),
    ("data nonsense", 2),
    ("data list", 0),
    ("data list --help", 0),
    ("data generate --help", 0),
    ("data generate small --images 8", 0),
    ("data check --help", 0),
    ("data check shapes", 0),
    ("data check nowhere", 2),
    ("data split --help", 0),
    ("data split shapes lists", 0),
    ("data split nowhere lists", 2),
    ("data export --help", 0),
    ("data export shapes shapes.json --format coco", 0),
    ("data export nowhere shapes.json --format coco", 2),
    ("data download --help", 0),
    ("data download voc2007 --mirror nowhere", 2),
    ("doctor --help", 0),
    ("completion bash", 0),
    ("completion --help", 0),
    ("completion tcsh", 2),
    ("import-caffe --help", 0),
    ("import-caffe nowhere --arch vgg16", 1),
    ("import-torchvision --help", 0),
    ("import-torchvision nowhere", 1),
    ("bench --help", 0),
    ("bench nonsense", 2),
    *((f"bench {name} --help", 0) for name in BENCHES),
    ("bench detect --cases nonsense", 2),
    ("bench train --cases nonsense", 2),
    ("bench train-options --ways nonsense", 2),
    ("bench propose --dataset nowhere", 2),
    ("bench photo --dataset nowhere", 2),
    ("bench video --dataset nowhere", 2),
    ("bench sampling --dataset nowhere", 2),
    ("bench svd --shape 2x2 --rank 9", 2),
    ("detect --help", 0),
    ("detect", 2),
    ("detect missing.jpg", 2),
    ("detect missing.mp4", 1),
    ("detect missing.mp4 --every 0", 2),
    ("detect shapes --model nowhere.safetensors", 2),
    ("detect shapes --proposals nowhere.proposals", 1),
    ("detect shapes --scales large", 2),
    ("detect shapes --tile 640 --overlap 1", 2),
    ("detect shapes --overlap 0.2", 2),
    ("detect shapes --model vocc", 2),
    ("detect shapes --viz --out model.safetensors/in-a-file", 1),
    ("detect shapes --yolo model.safetensors/in-a-file", 1),
    ("detect shapes --save-crops model.safetensors/in-a-file", 1),
    ("report model.safetensors --dataset shapes --out model.safetensors/in-a-file", 1),
    ("explain shapes/JPEGImages/000001.jpg --out model.safetensors/in-a-file", 1),
    ("eval --help", 0),
    ("eval nowhere", 2),
    ("eval nowhere.safetensors", 2),
    ("eval model.safetensors nowhere", 2),
    ("eval model.safetensors shapes --proposals nowhere.proposals", 1),
    ("eval --detections nowhere.json shapes", 2),
    ("eval --sweep proposals=many", 2),
]

CHILD = """
import json, re, resource, sys
from frcnn_cli.cli import main
sys.argv[0] = "frcnn"
try:
    main()
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    # Of this program alone: ru_maxrss counts what the process was before it became this one.
    peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024
    print(json.dumps([used.ru_utime + used.ru_stime, peak, list(sys.modules)]), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start-up")
    generate_dataset(folder / "shapes", images=8, size=(96, 72))
    for name in ("begun", "damaged"):
        (folder / "runs" / name).mkdir(parents=True)
        write_setting(folder / "runs" / name, base_experiment("paper-m"))
    (folder / "runs" / "damaged" / "checkpoint.safetensors").write_bytes(b"nothing of the kind")
    description = {
        "format": 2,
        "architecture": {
            "backbone": "caffenet",
            "classes": ["a"],
            "hidden": [8, 8],
            "preprocessing": {"mean": [0, 0, 0], "std": [1, 1, 1]},
            "box_coding": "inclusive",
            "ranks": {},
        },
        "origin": {},
    }
    header = json.dumps({"__metadata__": {"frcnn": json.dumps(description)}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with StoreWriter(folder / "boxes.proposals", Provenance("made up")) as writer:
        writer.add("000001", Proposals(np.array([[0, 0, 9, 9]])))
        writer.finish()
    return folder


@pytest.mark.parametrize(("line", "code"), LINES, ids=[line for line, _ in LINES])
def test_it_starts_light(line: str, code: int, folder: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *line.split()], cwd=folder, capture_output=True, text=True
    )
    assert child.returncode == code, child.stderr
    seconds, peak, modules = json.loads(child.stderr.splitlines()[-1])
    assert set(modules) & HEAVY == set()
    assert peak < MOST_BYTES
    assert seconds < MOST_SECONDS
