"""table.py FOLDER: the results of comparisons.sh in FOLDER, as Markdown tables.

Differences from the base have a 95% interval, by the bootstrap over the images of val, which are
read from $FRCNN_DATA.
"""

import json
import sys
from pathlib import Path

from frcnn_cli.engine.evaluation.bootstrap import difference_margins
from frcnn_cli.engine.evaluation.detections_file import read_detections
from frcnn_cli.engine.evaluation.images import open_split
from frcnn_cli.engine.evaluation.tables import DetectionTable, detection_table, truth_table
from frcnn_cli.engine.records import Dataset

ROWS = {
    "base": "multi-task, one scale, softmax, 2,000 proposals",
    "boxes-left": "multi-task, no box regression at test",
    "voting": "multi-task, box voting at test (not the paper's)",
    "fc-only": "convolutions from ImageNet fixed",
    "no-bbox-reg": "only classes learned",
    "stagewise": "box layer learned after the rest",
    "svm": "SVMs on fc7",
    "svm-r-cnn": "SVMs on fc7, R-CNN's weight of positives",
    "five-at-test": "five scales at test, one in training",
    "multiscale": "five scales in training and at test",
    "efficientnet_lite1": "efficientnet_lite1",
    "efficientnet_lite2": "efficientnet_lite2",
    "300": "300 proposals, in training and at test",
    "1000": "1,000 proposals, in training and at test",
    "opencv": "OpenCV's selective search",
    "base-64": "rank 64, selective search",
    "dense-64": "rank 64, dense boxes",
}
SWEEPS = {
    "sweep": "proposals at test only",
    "mixed": "proposals at test only, random dense boxes after the first 2,000",
}


def main(folder: Path) -> None:
    runs = [path for path in sorted(folder.iterdir()) if (path / "base.json").exists()]
    dataset = open_split("voc2007", "val", needs_images=False) if runs else None
    for run in runs:
        assert dataset is not None
        print(f"\n| {run.name} | mAP, 11-point | mAP, area | difference | 95% interval |")
        print("|---|---|---|---|---|")
        base = detections(run / "base.json", dataset)
        for name, title in ROWS.items():
            path = run / f"{name}.json"
            if path.exists():
                print(row(title, path, run / "base.json", base, dataset))
        for name, title in SWEEPS.items():
            sweep = run / f"{name}.json"
            for point in json.loads(sweep.read_text())["sweep"] if sweep.exists() else ():
                values = f"{point['map_11point']:.1%} | {point['map_area']:.1%}"
                print(f"| {point['proposals']:,} {title} | {values} | | |")


def row(title: str, path: Path, first: Path, base: DetectionTable, dataset: Dataset) -> str:
    """The line of one result; the interval is of its 11-point mAP minus that of the base.

    Results on fewer images than the base, because of missing proposals, have no interval.
    """
    result, of_base = (json.loads(file.read_text()) for file in (path, first))
    averages, images = result["voc"], result["counts"]["images"]
    values = f"{averages['map_11point']:.1%} | {averages['map_area']:.1%}"
    if path == first or images != of_base["counts"]["images"]:
        return f"| {title} | {values} | | |"
    margins = difference_margins(
        len(dataset.classes), len(dataset), truth_table(dataset), base, detections(path, dataset)
    )
    assert margins.map_11point is not None
    low, high = (f"{100 * end:+.1f}" for end in margins.map_11point)
    difference = 100 * (averages["map_11point"] - of_base["voc"]["map_11point"])
    return f"| {title} | {values} | {difference:+.1f} | {low} to {high} |"


def detections(results: Path, dataset: Dataset) -> DetectionTable:
    """The detections that were saved next to a file of results."""
    found = read_detections(results.with_suffix(".detections.json"), dataset)
    return detection_table(dataset, found)


main(Path(sys.argv[1]))
