"""The complete evaluation of a set of detections, in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from frcnn_cli.engine.evaluation.coco import CocoResult, evaluate_coco_tables
from frcnn_cli.engine.evaluation.corloc import CorLocResult, evaluate_corloc
from frcnn_cli.engine.evaluation.errors import ErrorAnalysis, analyse_errors
from frcnn_cli.engine.evaluation.tables import detection_table, truth_table
from frcnn_cli.engine.evaluation.voc import VocResult, evaluate_voc_tables
from frcnn_cli.engine.records import Dataset, Detections

RULES = (
    "VOC: IoU >= 0.5 with the object of largest overlap, inclusive pixels; a second match is "
    "wrong; difficult objects are ignored. COCO: IoU 0.50:0.95, at most 100 detections per class "
    "and image; difficult objects are ignored, as crowds."
)


@dataclass(frozen=True)
class Counts:
    """The numbers of evaluated items.

    objects: counted objects; ignored: difficult objects and crowds; detections: on images of the
    dataset; outside: on other images, which are ignored.
    """

    images: int
    objects: int
    ignored: int
    detections: int
    outside: int


@dataclass(frozen=True)
class Evaluation:
    """The results of one set of detections on one dataset.

    coco: None if it was not requested. trained_on: the number of the images that the model was
    trained on; None if it is unknown.
    """

    dataset: str
    split: str
    counts: Counts
    voc: VocResult
    coco: CocoResult | None
    errors: ErrorAnalysis
    corloc: CorLocResult
    trained_on: int | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON values: voc.map_11point, voc.per_class, coco.ap, corloc, counts and others."""
        return {
            "dataset": self.dataset,
            "split": self.split,
            "rules": RULES,
            "counts": asdict(self.counts),
            "trained_on": self.trained_on,
            "voc": self.voc.to_json(),
            "coco": None if self.coco is None else self.coco.to_json(),
            "errors": self.errors.to_json(),
            "corloc": self.corloc.to_json(),
        }


def evaluate(
    dataset: Dataset, detections: Mapping[str, Detections], coco: bool = True
) -> Evaluation:
    """Evaluate detections, by image id: VOC metrics, COCO metrics, error analysis and CorLoc.

    coco: whether to compute the COCO metrics. VOC metrics and CorLoc are those at IoU 0.5.
    Detections on images that are not in the dataset are counted, but otherwise ignored.
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
        evaluate_coco_tables(dataset, truth, found) if coco else None,
        analyse_errors(dataset.classes, truth, found),
        evaluate_corloc(dataset.classes, truth, found),
    )
