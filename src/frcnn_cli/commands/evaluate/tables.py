"""Tables of an evaluation."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.shared.console import Output, write_json
from frcnn_cli.commands.shared.paths import format_of
from frcnn_cli.commands.shared.tables import FoldedTable, make_table
from frcnn_proposals.files import write_whole
from frcnn_proposals.wording import counted

if TYPE_CHECKING:
    from frcnn_cli.engine.evaluation.coco import CocoResult
    from frcnn_cli.engine.evaluation.corloc import CorLocResult
    from frcnn_cli.engine.evaluation.errors import ErrorAnalysis
    from frcnn_cli.engine.evaluation.proposal_sweep import ProposalSweep
    from frcnn_cli.engine.evaluation.scores import Evaluation

_ERROR_HEADINGS = {
    "localisation": "bad box",
    "confusion": "wrong\nclass",
    "both": "both",
    "duplicate": "dupli-\ncate",
    "background": "back-\nground",
    "missed": "missed",
}


def print_evaluation(output: Output, evaluation: Evaluation, with_corloc: bool = False) -> None:
    """Print all tables, the counts, and the rules of the evaluation."""
    from frcnn_cli.engine.evaluation.corloc import RULE
    from frcnn_cli.engine.evaluation.scores import RULES

    output.print(class_table(evaluation))
    if evaluation.coco is not None:
        output.print(coco_table(evaluation.coco))
    output.print(errors_table(evaluation.errors))
    if with_corloc:
        output.print(corloc_table(evaluation.corloc))
    output.print(counts_line(evaluation))
    if evaluation.trained_on is not None:
        output.print(f"The model was trained on {evaluation.trained_on} of these images.")
    output.print(f"[dim]{escape(f'{RULES} {RULE}' if with_corloc else RULES)}[/]")


def class_table(evaluation: Evaluation) -> Table:
    """VOC and COCO average precision side by side: one row per class, and the mean.

    Without COCO metrics, there are no columns for them.
    """
    voc, coco = evaluation.voc, evaluation.coco
    title = f"{evaluation.dataset}, {evaluation.split}"
    table = FoldedTable(title=escape(title), show_footer=True)
    counts = evaluation.counts
    table.add_column("class", "mean")
    table.add_column("objects", str(counts.objects), justify="right")
    table.add_column("detec-\ntions", str(counts.detections), justify="right")
    columns = [("VOC\n11-point", voc.map_11point), ("VOC\narea", voc.map_area)]
    if coco is not None:
        columns += [("COCO\nAP", coco.ap), ("COCO\nAP50", coco.ap50), ("COCO\nAP75", coco.ap75)]
    for name, value in columns:
        table.add_column(name, percent(value), justify="right")
    for index, voc_class in enumerate(voc.per_class):
        averages = [voc_class.ap_11point, voc_class.ap_area]
        if coco is not None:
            coco_class = coco.per_class[index]
            averages += [coco_class.ap, coco_class.ap50, coco_class.ap75]
        class_counts = (str(voc_class.objects), str(voc_class.detections))
        table.add_row(escape(voc_class.name), *class_counts, *map(percent, averages))
    return table


def coco_table(coco: CocoResult) -> Table:
    """The COCO means, by object size and by number of detections."""
    headings = ("AP", "AP small", "AP medium", "AP large", "AR 1", "AR 10", "AR 100")
    fields = (heading.lower().replace(" ", "_") for heading in headings)
    row = [percent(getattr(coco, field)) for field in fields]
    return make_table("COCO, IoU 0.50:0.95", headings, [row], names=0)


def errors_table(errors: ErrorAnalysis) -> Table:
    """Counts of each kind of error per class, and the mAP after correcting each kind."""
    table = FoldedTable(title="Where the errors are (TIDE)", show_footer=True)
    table.add_column("class", "all\nmAP corrected\ngain")
    right = sum(item.right for item in errors.per_class)
    table.add_column("right", f"{right}\n{percent(errors.map_area)}\n", justify="right")
    for kind, heading in _ERROR_HEADINGS.items():
        total = sum(getattr(item, kind) for item in errors.per_class)
        gain = errors.gain(kind)
        gain_text = "-" if gain is None else f"{100 * gain:+.1f}"
        footer = f"{total}\n{percent(errors.corrected[kind])}\n{gain_text}"
        table.add_column(heading, footer, justify="right")
    for item in errors.per_class:
        counts = (getattr(item, kind) for kind in ("right", *_ERROR_HEADINGS))
        table.add_row(escape(item.name), *map(str, counts))
    return table


def corloc_table(corloc: CorLocResult) -> Table:
    """Pairs of an image and a class in it, and the share of those with a right best box."""
    total = corloc.total
    table = FoldedTable(title="Correct localisation (CorLoc)", show_footer=True)
    table.add_column("class", "mean")
    table.add_column("images", str(total.pairs), justify="right")
    table.add_column("right", str(total.right), justify="right")
    table.add_column("without\nbox", str(total.without_box), justify="right")
    table.add_column("CorLoc", percent(corloc.corloc), justify="right")
    for item in corloc.per_class:
        counts = (item.pairs, item.right, item.without_box)
        table.add_row(escape(item.name), *map(str, counts), percent(item.corloc))
    return table


def counts_line(evaluation: Evaluation) -> str:
    """The numbers of images, objects and detections, in Rich markup."""
    counts = evaluation.counts
    line = (
        f"{counted(counts.images, 'image')}, {counted(counts.objects, 'object')} ("
        f"{counted(counts.ignored, 'difficult or crowd object')} ignored), "
        f"{counted(counts.detections, 'detection')}"
    )
    if counts.outside:
        line += f"; {counts.outside} on images outside the dataset, ignored"
    return line


def percent(value: float | None) -> str:
    """Format 0.5234 as 52.3, and None (nothing to average) as a dash."""
    return "-" if value is None else f"{100 * value:.1f}"


def print_sweep(output: Output, sweep: ProposalSweep, plot: Path, json_path: Path | None) -> None:
    """Print the table of mAP against the number of proposals; write the plot and the JSON file."""
    from frcnn_cli.engine.evaluation.proposal_sweep import sweep_plot

    headings = ("proposals, at most", "mAP 11-point", "mAP area")
    rows = [
        (f"{scores.proposals:,}", percent(scores.map_11point), percent(scores.map_area))
        for scores in sweep.scores
    ]
    output.print(make_table(f"{sweep.dataset}, {sweep.split}", headings, rows, names=0))
    write_whole(plot, sweep_plot(sweep, format_of(plot)))
    output.print_file(f"Plot: [bold]{escape(str(plot))}[/]")
    if json_path is not None:
        write_json(json_path, {"sweep": [asdict(scores) for scores in sweep.scores]})
        output.note_file("Results", json_path)
