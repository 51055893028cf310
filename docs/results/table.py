"""table.py FOLDER: the results of comparisons.sh in FOLDER, as a Markdown table."""

import json
import sys
from pathlib import Path

ROWS = {
    "base": "multi-task, one scale, softmax, 2,000 proposals",
    "efficientnet_lite1": "efficientnet_lite1",
    "efficientnet_lite2": "efficientnet_lite2",
    "fc-only": "convolutions from ImageNet fixed",
    "no-bbox-reg": "only classes learned",
    "base-boxes-left": "multi-task, no box regression at test",
    "base-voting": "multi-task, box voting at test (not the paper's)",
    "stagewise": "box layer learned after the rest",
    "multiscale": "five scales",
    "svm": "SVMs on fc7",
    "300": "300 proposals, in training and at test",
    "1000": "1,000 proposals, in training and at test",
    "opencv": "OpenCV's selective search",
    "base-64": "rank 64, selective search",
    "dense-64": "rank 64, dense boxes",
}


def main(folder: Path) -> None:
    print("| | mAP, 11-point | mAP, area |\n|---|---|---|")
    for name, title in ROWS.items():
        path = folder / f"{name}.json"
        if path.exists():
            voc = json.loads(path.read_text())["voc"]
            print(f"| {title} | {voc['map_11point']:.1%} | {voc['map_area']:.1%} |")
    sweep = folder / "sweep.json"
    if sweep.exists():
        for point in json.loads(sweep.read_text())["sweep"]:
            title = f"{point['proposals']:,} proposals at test only"
            print(f"| {title} | {point['map_11point']:.1%} | {point['map_area']:.1%} |")


main(Path(sys.argv[1]))
