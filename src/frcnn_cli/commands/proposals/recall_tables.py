"""Tables of the recall of proposals."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from frcnn_cli.commands.shared.tables import make_table
from frcnn_cli.engine.evaluation.proposal_recall import ProposalRecall
from frcnn_cli.engine.evaluation.recall import AVERAGE_RECALL
from frcnn_proposals.wording import counted


def recall_tables(recall: ProposalRecall) -> Iterator[Table]:
    """Yield a summary, the values of the curves, and a table with one row per class."""
    report = recall.report
    all_objects, easy = report.all_objects, report.not_difficult
    groups = {"all objects": all_objects, "not difficult": easy}
    rows: list[tuple[str, ...]] = [
        (
            group,
            str(result.overall.objects),
            _number(result.mabo),
            _number(result.overall.average_recall),
            _number(result.overall.recall_50),
            _number(result.overall.recall_70),
        )
        for group, result in groups.items()
    ]
    images, digits = counted(report.images, "image"), 0 if report.boxes >= 100 else 1
    title = f"{recall.title}: {images}, {report.boxes:,.{digits}f} proposals per image"
    headings = ("", "objects", "MABO", AVERAGE_RECALL, "recall 0.5", "recall 0.7")
    yield make_table(title, headings, rows)
    rows = [
        (f"{iou:.2f}", _number(recall_all), _number(recall_easy))
        for (iou, recall_all), (_, recall_easy) in zip(all_objects.recall, easy.recall, strict=True)
    ]
    yield make_table("Recall against IoU", ("IoU", *groups), rows, names=0)
    rows = [
        (
            str(count),
            _pair(mabo, easy_mabo),
            _pair(coverage.average_recall, easy_coverage.average_recall),
            _pair(coverage.recall_50, easy_coverage.recall_50),
            _pair(coverage.recall_70, easy_coverage.recall_70),
        )
        for (count, mabo, coverage), (_, easy_mabo, easy_coverage) in zip(
            all_objects.by_count, easy.by_count, strict=True
        )
    ]
    title = "By number of proposals (all objects / not difficult)"
    yield make_table(title, ("proposals", *headings[2:]), rows, names=0)
    rows = [
        (
            name,
            f"{coverage.objects} / {easy_coverage.objects if easy_coverage else 0}",
            _pair(coverage.best_overlap, easy_coverage.best_overlap if easy_coverage else None),
            _pair(coverage.average_recall, easy_coverage.average_recall if easy_coverage else None),
            _pair(coverage.recall_50, easy_coverage.recall_50 if easy_coverage else None),
        )
        for name, coverage in all_objects.by_class.items()
        for easy_coverage in (easy.by_class.get(name),)
    ]
    class_headings = ("class", "objects", "mean best overlap", AVERAGE_RECALL, "recall 0.5")
    yield make_table("By class (all objects / not difficult)", class_headings, rows)


def _pair(value: float | None, easy_value: float | None) -> str:
    return f"{_number(value)} / {_number(easy_value)}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
