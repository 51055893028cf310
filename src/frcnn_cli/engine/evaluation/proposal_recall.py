"""The recall of a file of proposals on a split of a dataset."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from frcnn_cli.engine.datasets.find import all_ids, default_splits
from frcnn_cli.engine.datasets.findings import act_on
from frcnn_cli.engine.datasets.open import open_dataset
from frcnn_cli.engine.evaluation.chance import warn_of_low_recall
from frcnn_cli.engine.evaluation.recall import (
    AVERAGE_RECALL_IN_WORDS,
    RecallReport,
    RecallResult,
    evaluate_recall,
)
from frcnn_cli.engine.proposals.image_match import store_findings
from frcnn_cli.engine.records import short_name
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.formats.interpret import Hints
from frcnn_proposals.formats.read import open_proposals
from frcnn_proposals.image_ids import match_ids


@dataclass(frozen=True)
class ProposalRecall:
    """The recall of `file` on a split. max_boxes: maximum boxes per image; None for all."""

    file: Path
    dataset: str
    split: str
    max_boxes: int | None
    report: RecallReport

    @property
    def title(self) -> str:
        return f"{self.file.name} on {short_name(self.dataset)} {self.split}"

    def to_json(self) -> dict[str, Any]:
        return {
            "file": str(self.file),
            "dataset": self.dataset,
            "split": self.split,
            "max_boxes": self.max_boxes,
            "average_recall_definition": AVERAGE_RECALL_IN_WORDS,
            "images": self.report.images,
            "boxes_per_image": self.report.boxes,
            "all": _result_as_json(self.report.all_objects),
            "not_difficult": _result_as_json(self.report.not_difficult),
        }


def _result_as_json(result: RecallResult) -> dict[str, Any]:
    return {
        "mabo": result.mabo,
        **asdict(result.overall),
        "recall_against_iou": [{"iou": iou, "recall": value} for iou, value in result.recall],
        "against_boxes": [
            {"boxes": count, "mabo": mabo, **asdict(coverage)}
            for count, mabo, coverage in result.by_count
        ],
        "by_class": {name: asdict(coverage) for name, coverage in result.by_class.items()},
    }


def measure_recall(
    file: Path,
    name: str,
    split: str | None = None,
    data_root: Path | None = None,
    *,
    max_boxes: int | None = None,
    hints: Hints | None = None,
    allow_mismatch: bool = False,
    reporter: Reporter = SILENT,
) -> ProposalRecall:
    """Measure how well the proposals in `file` cover the objects of a split of dataset `name`.

    split: None is test if it has annotations, else val. max_boxes: use only the first boxes of
    each image. Raises InputError if the file and the images do not match; with allow_mismatch,
    images without proposals are skipped instead.
    """
    split = split or default_splits(name, data_root).evaluation
    dataset = open_dataset(name, split, data_root, allow_mismatch=allow_mismatch, reporter=reporter)
    ids = [record.image_id for record in dataset.images]
    sizes = {
        record.image_id: (record.width, record.height)
        for record in dataset.images
        if record.width is not None and record.height is not None
    }
    proposals = open_proposals(file, hints or Hints(), ids, sizes.get).proposals
    match = match_ids(proposals, ids, lambda: all_ids(name, data_root))
    if not allow_mismatch:
        match.reject_mismatch(
            str(file), "Use the file for this dataset, or skip such images with --allow-mismatch."
        )
    elif not match.is_exact:
        reporter.warn(match.describe())
        matching = tuple(record for record in dataset.images if record.image_id in proposals)
        dataset = replace(dataset, images=matching)
    act_on(store_findings(dataset, proposals), allow_mismatch, reporter)
    warn_of_low_recall(dataset, proposals, str(file), reporter)
    with reporter.progress("Measuring", len(dataset)) as advance:
        report = evaluate_recall(dataset, proposals, max_boxes, lambda: advance(1, ""))
    return ProposalRecall(file, name, split, max_boxes, report)
