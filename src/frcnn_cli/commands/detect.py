"""`frcnn detect`: find objects in images."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import click
import PIL.Image
from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands import options
from frcnn_cli.commands.console import Output, pass_output, write_json
from frcnn_cli.commands.targets import open_model
from frcnn_cli.engine.detect import threshold_for
from frcnn_cli.engine.detect_files import DetectedFile, detect_files
from frcnn_cli.engine.devices import find_device
from frcnn_cli.engine.draw import draw_detections
from frcnn_cli.engine.proposing.inputs import find_images
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.results import coco_results
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.errors import InputError
from frcnn_proposals.files import write_whole
from frcnn_proposals.precomputed import Precomputed
from frcnn_proposals.sources import make_source

ROWS_AN_IMAGE = 10


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--model", type=options.AnyPath, help="Model file or run. Default: the newest run.")
@options.proposals
@options.source
@click.option(
    "--score-threshold",
    type=float,
    help="Lowest score that counts; take 0.01 or less for files that will be evaluated. "
    "Default: 0.5, or a margin of 0 where SVMs classify.",
)
@options.top_k
@click.option("--viz", is_flag=True, help="Draw the detections, into the folder --out.")
@click.option(
    "--out",
    type=options.FolderPath,
    default=Path("detections"),
    show_default=True,
    help="Folder for the pictures.",
)
@options.runs_root
@options.device
@options.json_file
@pass_output
def detect(
    output: Output,
    images: tuple[str, ...],
    model: Path | None,
    proposals: Path | None,
    source: str,
    score_threshold: float | None,
    top_k: int,
    viz: bool,
    out: Path,
    runs_root: Path,
    device: str,
    json_path: Path | None,
) -> None:
    """Find objects in IMAGES: files, folders, globs, lists of paths, or data sets.

    Proposals are made on the fly unless --proposals names a file of them.

    \b
    frcnn detect street.jpg --viz
    frcnn detect photos/ --json detections.json --score-threshold 0.01
    """
    files = find_images(images)
    loaded = open_model(output, model, runs_root, find_device(device))
    classes = loaded.model.architecture.classes
    proposer = make_source(source) if proposals is None else Precomputed(proposals)
    settings = DetectSettings(threshold_for(loaded.model, score_threshold), top_k=top_k)
    found: dict[str, Detections] = {}
    failed: list[str] = []
    try:
        with output.progress("Detecting", len(files)) as advance:
            for result in detect_files(loaded.model, files, proposer, settings):
                if result.detections is None:
                    failed.append(str(result.error))
                else:
                    found[result.image_id] = result.detections
                    if viz:
                        _write_picture(result, classes, out)
                advance(1, result.path.name)
    except KeyboardInterrupt:
        if json_path is not None:  # only the image in flight is lost
            write_json(json_path, coco_results(found, classes))
        raise
    if found:
        output.print(_table(found, classes))
    if viz and found:
        output.print(f"Pictures: [bold]{escape(str(out))}[/]")
    if json_path is not None:
        write_json(json_path, coco_results(found, classes))
        output.note(f"Detections: {json_path}")
    if failed:
        raise InputError("\n".join(failed[:3]) + (f"\n{len(failed)} failed." if failed[3:] else ""))


def _write_picture(result: DetectedFile, classes: tuple[str, ...], out: Path) -> None:
    assert result.image is not None
    assert result.detections is not None
    picture = draw_detections(result.image, result.detections, classes)
    buffer = io.BytesIO()
    PIL.Image.fromarray(picture).save(buffer, "JPEG", quality=92)
    write_whole(out / f"{result.image_id}.jpg", buffer.getvalue())


def _table(found: dict[str, Detections], classes: tuple[str, ...]) -> Table:
    """Each detection for a few images, counts by class for many."""
    if len(found) > 3:
        table = Table("image", "objects")
        for image_id, detections in found.items():
            counts = Counter(classes[label - 1] for label in detections.labels.tolist())
            text = ", ".join(f"{count} {name}" for name, count in counts.most_common())
            table.add_row(escape(image_id), escape(text) or "-")
        return table
    table = Table("image", "class")
    for heading in ("score", "x1", "y1", "x2", "y2"):
        table.add_column(heading, justify="right")
    for image_id, detections in found.items():
        for index in range(min(len(detections), ROWS_AN_IMAGE)):
            table.add_row(
                escape(image_id) if index == 0 else "",
                escape(classes[int(detections.labels[index]) - 1]),
                f"{detections.scores[index]:.2f}",
                *(f"{value:.0f}" for value in detections.boxes[index]),
            )
        if len(detections) > ROWS_AN_IMAGE:
            table.add_row("", f"and {len(detections) - ROWS_AN_IMAGE} more")
        if len(detections) == 0:
            table.add_row(escape(image_id), "nothing found")
    return table
