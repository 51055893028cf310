"""Everything there is to say about a set of detections, in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from frcnn_cli.engine.evaluation.coco import CocoResult, evaluate_coco
from frcnn_cli.engine.evaluation.errors import ErrorAnalysis, analyse_errors
from frcnn_cli.engine.evaluation.tables import detection_table, truth_table
from frcnn_cli.engine.evaluation.voc import VocResult, evaluate_voc_tables
from frcnn_cli.engine.records import Dataset, Detections

RULES = (
    "VOC: IoU >= 0.5, inclusive pixels, the best-overlapped object, a second match is wrong, "
    "difficult counts neither way. COCO: IoU 0.50:0.95, at most 100 detections a class and "
    "image, difficult left out as a crowd."
)


@dataclass(frozen=True)
class Counts:
    """What was scored. objects: those that count; ignored: difficult ones and crowds;
    detections: on the dataset's images; outside: on other images, ignored."""

    images: int
    objects: int
    ignored: int
    detections: int
    outside: int


@dataclass(frozen=True)
class Evaluation:
    """The scores of one set of detections on one dataset."""

    dataset: str
    split: str
    counts: Counts
    voc: VocResult
    coco: CocoResult
    errors: ErrorAnalysis

    def to_json(self) -> dict[str, Any]:
        """As JSON values: voc.map_11point, voc.per_class, coco.ap, counts, rules and the rest."""
        return {
            "dataset": self.dataset,
            "split": self.split,
            "rules": RULES,
            "counts": asdict(self.counts),
            "voc": self.voc.to_json(),
            "coco": self.coco.to_json(),
            "errors": self.errors.to_json(),
        }


def evaluate(dataset: Dataset, detections: Mapping[str, Detections]) -> Evaluation:
    """Score detections, by image id, against a dataset: VOC at IoU 0.5, the COCO family, and
    where the errors are.

    Detections on images that the dataset does not have are counted, but not scored.
    Raises MisuseError for an image without annotation, ValueError for a label outside 1..K.
    """
    truth, found = truth_table(dataset), detection_table(dataset, detections)
    ignored = int(truth.ignored.sum())
    counts = Counts(len(dataset), len(truth) - ignored, ignored, len(found), found.outside)
    return Evaluation(
        dataset.name,
        dataset.split,
        counts,
        evaluate_voc_tables(dataset.classes, truth, found),
        evaluate_coco(dataset, detections),
        analyse_errors(dataset.classes, truth, found),
    )
