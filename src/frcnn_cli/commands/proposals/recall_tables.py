"""How the recall of proposals is shown to people."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from frcnn_cli.commands.shared.tables import make_table
from frcnn_cli.engine.evaluation.proposal_recall import ProposalRecall


def recall_tables(recall: ProposalRecall) -> Iterator[Table]:
    """A summary, then the curves as numbers, then one row per class."""
    report = recall.report
    every, easy = report.all_objects, report.not_difficult
    groups = {"all objects": every, "not difficult": easy}
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
    title = f"{recall.title}: {report.images} images, {report.boxes:.1f} boxes per image"
    headings = ("", "objects", "MABO", "average recall", "recall 0.5", "recall 0.7")
    yield make_table(title, headings, rows)
    rows = [
        (f"{iou:.2f}", _number(of_all), _number(of_easy))
        for (iou, of_all), (_, of_easy) in zip(every.recall, easy.recall, strict=True)
    ]
    yield make_table("Recall against IoU", ("IoU", *groups), rows, names=0)
    rows = [
        (
            str(count),
            _pair(mabo, easy_mabo),
            _pair(of_all.average_recall, of_easy.average_recall),
            _pair(of_all.recall_50, of_easy.recall_50),
            _pair(of_all.recall_70, of_easy.recall_70),
        )
        for (count, mabo, of_all), (_, easy_mabo, of_easy) in zip(
            every.by_count, easy.by_count, strict=True
        )
    ]
    title = "Against the number of boxes (all objects / not difficult)"
    yield make_table(title, ("boxes", *headings[2:]), rows, names=0)
    rows = [
        (
            name,
            f"{one.objects} / {other.objects if other else 0}",
            _pair(one.best_overlap, other.best_overlap if other else None),
            _pair(one.average_recall, other.average_recall if other else None),
            _pair(one.recall_50, other.recall_50 if other else None),
        )
        for name, one in every.by_class.items()
        for other in (easy.by_class.get(name),)
    ]
    of_class = ("class", "objects", "mean best overlap", "average recall", "recall 0.5")
    yield make_table("By class (all objects / not difficult)", of_class, rows)


def _pair(one: float | None, other: float | None) -> str:
    return f"{_number(one)} / {_number(other)}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
