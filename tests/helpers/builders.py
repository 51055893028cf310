"""Small datasets and detections for the tests of evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from frcnn_cli.engine.records import Dataset, Detections, GroundTruth, ImageRecord


def make_dataset(classes, **images):
    """images: id -> list of (class, box) or (class, box, 'difficult' or 'crowd')."""
    records = tuple(
        ImageRecord(name, Path(f"{name}.jpg"), 500, 500, _truth(classes, objects))
        for name, objects in images.items()
    )
    return Dataset("made", "test", tuple(classes), records)


def make_detections(classes, **images):
    """images: id -> list of (class, score, box)."""
    return {
        name: Detections(
            np.array([box for _, _, box in items], np.float32).reshape(-1, 4),
            np.array([score for _, score, _ in items], np.float32),
            np.array([classes.index(label) + 1 for label, _, _ in items], np.int64),
        )
        for name, items in images.items()
    }


def random_case(seed, classes=("a", "b", "c"), images=12, distinct_scores=4):
    """Random objects, some of them ignored, and detections near and far from them.

    There are few distinct scores, so that many are equal. Class 'c' may be absent; some images
    have no objects or detections.
    """
    rng = np.random.default_rng(seed)
    truth, found = {}, {}
    for number in range(images):
        objects = [
            (str(rng.choice(classes)), _random_box(rng), *_flag(rng))
            for _ in range(rng.integers(0, 5))
        ]
        items = []
        for label, box, *_ in objects:
            for _ in range(rng.integers(0, 4)):
                moved = np.add(box, rng.integers(-12, 13, 4))
                moved[2:] = np.maximum(moved[2:], moved[:2])
                wrong_class = rng.uniform() < 0.15
                name = str(rng.choice(classes)) if wrong_class else label
                items.append((name, _score(rng, distinct_scores), tuple(moved.tolist())))
        items.extend(
            (str(rng.choice(classes)), _score(rng, distinct_scores), _random_box(rng))
            for _ in range(rng.integers(0, 3))
        )
        truth[f"i{number}"] = objects
        if rng.uniform() < 0.9:
            found[f"i{number}"] = items
    return make_dataset(classes, **truth), make_detections(list(classes), **found)


def _truth(classes, objects):
    flags = [tuple(item[2:]) for item in objects]
    return GroundTruth(
        np.array([item[1] for item in objects], np.float32).reshape(-1, 4),
        np.array([classes.index(item[0]) + 1 for item in objects], np.int64),
        np.array(["difficult" in flag for flag in flags], bool),
        np.array(["crowd" in flag for flag in flags], bool),
    )


def _random_box(rng):
    x, y = rng.integers(0, 100, 2)
    width, height = rng.integers(0, 60, 2)
    return (int(x), int(y), int(x + width), int(y + height))


def _flag(rng):
    return ("difficult",) if rng.uniform() < 0.2 else ()


def _score(rng, distinct):
    return float(rng.integers(1, distinct + 1)) / 8
