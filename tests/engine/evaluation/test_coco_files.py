"""COCO metrics from files, compared with pycocotools on the same files."""

import contextlib
import io
import json

import numpy as np
import pytest

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.evaluation.detections_file import read_detections
from frcnn_cli.engine.evaluation.scores import evaluate

pycocotools = pytest.importorskip("pycocotools.cocoeval")


def test_real_tiny_dataset_with_its_own_numbers_crowds_and_areas(shared_data, tmp_path):
    from pycocotools.coco import COCO

    truth = shared_data / "coco-tiny" / "annotations" / "instances_val2017.json"
    results = tmp_path / "results.json"
    results.write_text(json.dumps(disturbed(json.loads(truth.read_text()))))
    dataset = find_dataset(str(truth), "val")
    result = evaluate(dataset, read_detections(results, dataset)).coco
    with contextlib.redirect_stdout(io.StringIO()):
        index = COCO(str(truth))
        reference = pycocotools.COCOeval(index, index.loadRes(str(results)), "bbox")
        reference.evaluate()
        reference.accumulate()
        reference.summarize()
    values = [result.ap, result.ap50, result.ap75]
    values += [result.ap_small, result.ap_medium, result.ap_large]
    values += [result.ar_1, result.ar_10, result.ar_100]
    values += [result.ar_small, result.ar_medium, result.ar_large]
    assert values == pytest.approx(reference.stats.tolist(), abs=1e-6)
    assert 0.2 < result.ap < 0.9


def disturbed(content):
    """Results from the objects with random shifts, some repeated, some with another class."""
    rng = np.random.default_rng(5)
    categories = [category["id"] for category in content["categories"]]
    entries = []
    for annotation in content["annotations"]:
        for _ in range(rng.integers(0, 4)):
            x, y, width, height = annotation["bbox"]
            dx, dy, dw, dh = rng.normal(0, 0.07, 4)
            box = [x + dx * width, y + dy * height, width * (1 + dw), height * (1 + dh)]
            category = annotation["category_id"]
            if rng.uniform() < 0.1:
                category = int(rng.choice(categories))
            entries.append(
                {
                    "image_id": annotation["image_id"],
                    "category_id": category,
                    "bbox": box,
                    "score": float(np.float32(rng.uniform())),
                }
            )
    return entries
