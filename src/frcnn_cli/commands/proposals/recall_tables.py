"""How the recall of proposals is shown to people."""

from __future__ import annotations

from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from frcnn_cli.engine.evaluation.proposal_recall import ProposalRecall
from frcnn_cli.engine.evaluation.recall import RecallResult


def recall_tables(recall: ProposalRecall) -> Iterator[Table]:
    """A summary, then the curves as numbers, then one row per class."""
    report = recall.report
    groups = {"all objects": report.all_objects, "not difficult": report.not_difficult}
    summary = Table(
        title=escape(f"{recall.title}: {report.images} images, {report.boxes:.1f} boxes an image")
    )
    for heading in ("", "objects", "MABO", "average recall", "recall 0.5", "recall 0.7"):
        summary.add_column(heading, justify="right" if heading else "left")
    for group, result in groups.items():
        whole = result.overall
        values = (result.mabo, whole.average_recall, whole.recall_50, whole.recall_70)
        summary.add_row(group, str(whole.objects), *map(_number, values))
    yield summary
    yield _against_iou(groups)
    yield _against_count(groups)
    yield _by_class(groups)


def _against_iou(groups: dict[str, RecallResult]) -> Table:
    table = Table(title="Recall against IoU")
    for heading in ("IoU", *groups):
        table.add_column(heading, justify="right")
    for at_threshold in zip(*(result.recall for result in groups.values()), strict=True):
        table.add_row(f"{at_threshold[0][0]:.2f}", *(_number(value) for _, value in at_threshold))
    return table


def _against_count(groups: dict[str, RecallResult]) -> Table:
    table = Table(title="Against the number of boxes (all objects / not difficult)")
    for heading in ("boxes", "MABO", "average recall", "recall 0.5", "recall 0.7"):
        table.add_column(heading, justify="right")
    for of_all, of_easy in zip(*(result.by_count for result in groups.values()), strict=True):
        (count, mabo, every), (_, easy_mabo, easy) = of_all, of_easy
        table.add_row(
            str(count),
            f"{_number(mabo)} / {_number(easy_mabo)}",
            f"{_number(every.average_recall)} / {_number(easy.average_recall)}",
            f"{_number(every.recall_50)} / {_number(easy.recall_50)}",
            f"{_number(every.recall_70)} / {_number(easy.recall_70)}",
        )
    return table


def _by_class(groups: dict[str, RecallResult]) -> Table:
    everything, easy = groups.values()
    table = Table(title="By class (all objects / not difficult)")
    for heading in ("class", "objects", "mean best overlap", "average recall", "recall 0.5"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for name, one in everything.by_class.items():
        other = easy.by_class.get(name)
        table.add_row(
            escape(name),
            f"{one.objects} / {other.objects if other else 0}",
            f"{_number(one.best_overlap)} / {_number(other.best_overlap if other else None)}",
            f"{_number(one.average_recall)} / {_number(other.average_recall if other else None)}",
            f"{_number(one.recall_50)} / {_number(other.recall_50 if other else None)}",
        )
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
