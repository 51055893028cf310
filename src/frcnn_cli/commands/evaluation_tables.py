"""How an evaluation is shown to people."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.console import Output
from frcnn_cli.engine.evaluation.coco import CocoResult
from frcnn_cli.engine.evaluation.evaluate import RULES, Evaluation


def print_evaluation(output: Output, evaluation: Evaluation) -> None:
    """All tables, then what was counted and by which rules."""
    output.print(class_table(evaluation))
    output.print(coco_table(evaluation.coco))
    output.print(counts_line(evaluation))
    output.print(f"[dim]{escape(RULES)}[/]")


def class_table(evaluation: Evaluation) -> Table:
    """VOC and COCO averages side by side, a row a class and the mean."""
    voc, coco = evaluation.voc, evaluation.coco
    title = f"{evaluation.dataset}, {evaluation.split}"
    table = Table(title=escape(title), show_footer=True)
    counts = evaluation.counts
    table.add_column("class", "mean")
    table.add_column("objects", str(counts.objects), justify="right")
    table.add_column("detections", str(counts.detections), justify="right")
    for name, value in (
        ("VOC 11pt", voc.map_11point),
        ("VOC area", voc.map_area),
        ("AP50:95", coco.ap),
        ("AP50", coco.ap50),
        ("AP75", coco.ap75),
    ):
        table.add_column(name, percent(value), justify="right")
    for of_voc, of_coco in zip(voc.per_class, coco.per_class, strict=True):
        table.add_row(
            escape(of_voc.name),
            str(of_voc.objects),
            str(of_voc.detections),
            percent(of_voc.ap_11point),
            percent(of_voc.ap_area),
            percent(of_coco.ap),
            percent(of_coco.ap50),
            percent(of_coco.ap75),
        )
    return table


def coco_table(coco: CocoResult) -> Table:
    """The COCO means by size of object and by number of detections."""
    table = Table(title="COCO, IoU 0.50:0.95")
    columns = {
        "AP": coco.ap,
        "AP small": coco.ap_small,
        "AP medium": coco.ap_medium,
        "AP large": coco.ap_large,
        "AR 1": coco.ar_1,
        "AR 10": coco.ar_10,
        "AR 100": coco.ar_100,
    }
    for name in columns:
        table.add_column(name, justify="right")
    table.add_row(*(percent(value) for value in columns.values()))
    return table


def counts_line(evaluation: Evaluation) -> str:
    """Images, objects and detections, in Rich markup."""
    counts = evaluation.counts
    line = (
        f"{counts.images} images, {counts.objects} objects ({counts.ignored} difficult or crowds "
        f"besides), {counts.detections} detections"
    )
    if counts.outside:
        line += f"; {counts.outside} on images outside the set, left out"
    return line


def percent(value: float | None) -> str:
    """0.5234 as 52.3; a dash where there is nothing to average."""
    return "-" if value is None else f"{100 * value:.1f}"
