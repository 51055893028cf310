"""Reports on made-up detections, with unusual and hostile names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image

from frcnn_cli.engine.evaluation.recall import evaluate_recall
from frcnn_cli.engine.evaluation.tables import truth_table
from frcnn_cli.engine.pages.report.records import Report, Subject
from frcnn_cli.engine.pages.report.subjects import subject_of_file
from frcnn_cli.engine.records import Dataset, Detections, GroundTruth, ImageRecord
from frcnn_cli.engine.training.metrics import TrainingLog
from frcnn_proposals.base import Proposals

CLASSES = (
    "<script>document.title='taken'</script>",
    "\"double\" & 'single' quotes",
    "כלב",
    r"$\frac{1$",
    "cat",
    "dog",
    "horse",
)
IDS = (
    "<img src=x onerror=document.title='taken'>",
    "a\"b'c&d",
    "صورة",
    "</style></script><b>",
)
LONG_CLASSES = (
    "NarrowleafCattailTyphaAngustifoliaInflorescence",
    "a_class_name_of_words_joined_by_underscores",
    "traffic light that is switched off at the crossing",
    "cat",
)
LONG_NAME = "a_run_of_20000_iterations_with_a_learning_rate_of_0.001_and_momentum_0.9"
SIZE = (200, 120)  # wider than the cards, so that they are letterboxed


def made_up_dataset(folder: Path, images: int = 48, classes: tuple[str, ...] = CLASSES) -> Dataset:
    """A dataset of noise images with one to three objects each."""
    generator = np.random.default_rng(1)
    path = folder / "noise.jpg"
    small = generator.integers(0, 256, (6, 8, 3), np.uint8)
    PIL.Image.fromarray(small).resize(SIZE, PIL.Image.Resampling.BICUBIC).save(path)
    records = []
    for number in range(images):
        count = int(generator.integers(1, 4))
        corner = generator.integers(0, 60, (count, 2))
        extent = generator.integers(20, 55, (count, 2))
        boxes = np.hstack([corner, corner + extent]).astype(np.float32)
        labels = generator.integers(1, len(classes) + 1, count)
        truth = GroundTruth(boxes, labels, generator.random(count) < 0.1)
        name = IDS[number] if number < len(IDS) else f"{number:06}"
        records.append(ImageRecord(name, path, *SIZE, truth))
    return Dataset("made up", "test", classes, tuple(records))


def made_up_detections(dataset: Dataset, seed: int) -> dict[str, Detections]:
    """Detections with inaccurate boxes, wrong classes, missed objects and false positives."""
    generator = np.random.default_rng(seed)
    found = {}
    for record in dataset.images:
        assert record.truth is not None
        found_rows = generator.random(len(record.truth)) < 0.75
        boxes = record.truth.boxes[found_rows]
        boxes = boxes + generator.normal(0, 5, boxes.shape)
        labels = record.truth.labels[found_rows]
        wrong = generator.random(len(labels)) < 0.2
        labels = np.where(
            wrong, generator.integers(1, len(dataset.classes) + 1, len(labels)), labels
        )
        stray = generator.integers(0, 50, (2, 2))
        boxes = np.vstack([boxes, np.hstack([stray, stray + 40])]).astype(np.float32)
        labels = np.append(labels, generator.integers(1, len(dataset.classes) + 1, 2))
        scores = np.sort(generator.random(len(boxes)).astype(np.float32))[::-1]
        found[record.image_id] = Detections(boxes, scores.copy(), labels)
    return found


def made_up_subject(dataset: Dataset, seed: int, name: str) -> Subject:
    """A subject with a training log, times and sizes, like that of a model."""
    subject = subject_of_file(dataset, made_up_detections(dataset, seed), Path(name))
    steps = tuple(range(1, 301))
    losses = {
        part: tuple(2 / step**0.5 for step in steps) for part in ("total", "classes", "boxes")
    }
    return replace(
        subject,
        name=name,
        log=TrainingLog(steps, losses, ((100, 0.2), (300, 0.4))),
        stages={"convolution": 0.1, "RoI pooling": 0.01, "fc6": 0.05, "the rest": 0.02},
        parameters=10_500_000,
        file_bytes=42_000_000,
    )


def made_up_report(dataset: Dataset, subjects: int) -> Report:
    """A report on one or two subjects."""
    return Report(
        dataset,
        truth_table(dataset),
        tuple(made_up_subject(dataset, seed, f"<b>run</b> {seed}") for seed in range(subjects)),
        recall=None,
        machine={"Processor": "<i>chip</i>"},
        made="Created by a test",
    )


def report_of_long_names(folder: Path) -> Report:
    """A report on two subjects with long names and six-digit times."""
    dataset = made_up_dataset(folder, classes=LONG_CLASSES)
    records = (replace(r, image_id=f"{LONG_NAME}_{r.image_id}") for r in dataset.images)
    dataset = replace(dataset, name=LONG_NAME, images=tuple(records))
    report = made_up_report(dataset, 2)
    settings = {"Model": LONG_NAME, "Training data": LONG_NAME}
    subjects = tuple(
        replace(
            subject,
            name=f"{letter}_{LONG_NAME}",
            setting=settings,
            all_settings=settings,
            stages={stage: 1000 * seconds for stage, seconds in subject.stages.items()},
        )
        for letter, subject in zip("ab", report.subjects, strict=True)
    )
    corners = np.random.default_rng(2).integers(0, 60, (20, 2))
    proposals = Proposals(np.hstack([corners, corners + 40]))
    recall = evaluate_recall(dataset, {record.image_id: proposals for record in dataset.images})
    return replace(report, subjects=subjects, recall=recall)
