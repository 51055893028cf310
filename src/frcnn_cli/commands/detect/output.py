"""The output of `frcnn detect`: tables of detections, and where the files are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.detect.options import DetectOptions
from frcnn_cli.commands.shared.console import Output, raise_failures
from frcnn_cli.commands.shared.tables import FoldedTable, make_table
from frcnn_cli.engine.detection.outputs import DetectionOutputs
from frcnn_cli.engine.drawing.detections import annotated_image_path
from frcnn_cli.engine.records import Detections, highest
from frcnn_proposals.wording import counted, first_of, rate_of

if TYPE_CHECKING:
    from frcnn_cli.engine.detection.images import ImageDetections
    from frcnn_cli.engine.detection.run import Detector
    from frcnn_cli.engine.detection.videos.run import VideoDetections

_ROWS_PER_IMAGE = 10
_FEW_IMAGES = 3
_SOME_IMAGES = 50
_NAMED_CLASSES = 25


def print_files(
    output: Output, chosen: DetectOptions, detected: ImageDetections, detector: Detector
) -> None:
    """Print the detections in image files, and where they are. Raises InputError if one failed."""
    found = detected.found
    if found:
        output.print(detection_table(found, detector.loaded.classes))
        if not any(map(len, found.values())):
            best = highest(each.best_rejected for each in found.values())
            output.note(nothing_found(best, detector.settings.score_threshold, detector.classes))
        if chosen.viz:
            output.print_file(_annotated(chosen.out, list(found)))
    _note_files(output, chosen.outputs)
    raise_failures(detected.failures, len(detected.failures))


def _annotated(folder: Path, image_ids: list[str]) -> str:
    """The line with the annotated image, or with the folder of several."""
    if len(image_ids) > 1:
        return f"Annotated images: [bold]{escape(str(folder))}[/]"
    path = annotated_image_path(folder, image_ids[0])
    return f"Annotated image: [bold]{escape(str(path))}[/]"


def _note_files(output: Output, outputs: DetectionOutputs) -> None:
    for path in (outputs.json_path, outputs.csv_path, outputs.yolo, outputs.crops):
        if path is not None and path.exists():  # without detections, there are no crops
            output.note_file("Detections", path)


def print_video(
    output: Output, chosen: DetectOptions, done: VideoDetections, detector: Detector
) -> None:
    """Print the detections in a video, and where they are. Raises the error that ended it."""
    output.print(video_table(done.objects))
    if not done.objects:
        output.note(
            nothing_found(done.best_rejected, detector.settings.score_threshold, detector.classes)
        )
    dropped = "" if done.dropped is None else f", {counted(done.dropped, 'frame')} dropped"
    output.note(
        f"{counted(done.frames, 'frame')} in {done.seconds:.1f} s: "
        f"{rate_of(done.frames / done.seconds, 'frame')}{dropped}"
    )
    if done.frames:
        output.print_file(f"Video: [bold]{escape(str(done.path))}[/]")
    _note_files(output, replace(chosen.outputs, json_path=done.json_path))
    if done.failure is not None:
        raise done.failure
    if done.interrupted:
        output.note(
            f"Interrupted after {counted(done.frames, 'frame')}, all of which are in the files."
        )
        raise KeyboardInterrupt


def detection_table(found: dict[str, Detections], classes: tuple[str, ...]) -> Table:
    """One row per detection of a few images, per image of some, or per class of many."""
    if len(found) > _SOME_IMAGES:
        return _class_table(found, classes)
    if len(found) > _FEW_IMAGES:
        return _image_table(found, classes)
    table = FoldedTable()
    table.add_column("image")
    table.add_column("class")
    for heading in ("score", "x1", "y1", "x2", "y2"):
        table.add_column(heading, justify="right")
    for image_id, detections in found.items():
        for index in range(min(len(detections), _ROWS_PER_IMAGE)):
            table.add_row(
                escape(image_id) if index == 0 else "",
                escape(classes[int(detections.labels[index]) - 1]),
                f"{detections.scores[index]:.2f}",
                *(f"{value:.0f}" for value in detections.boxes[index]),
            )
        if len(detections) > _ROWS_PER_IMAGE:
            table.add_row("", f"and {len(detections) - _ROWS_PER_IMAGE} more")
        if len(detections) == 0:
            table.add_row(escape(image_id), "no detections")
    return table


def nothing_found(
    best_rejected: float | None, threshold: float | None, classes: Sequence[str]
) -> str:
    """Lines for images without any detection: the highest score, and the requested classes.

    classes: of the model, or those of them that were requested.
    """
    sought = f"Classes that were looked for: {first_of(classes, _NAMED_CLASSES)}."
    if best_rejected is None or threshold is None:
        return f"No detections.\n{sought}"
    best = math.floor(best_rejected * 1000) / 1000  # rounding up could reach the threshold
    return (
        f"No detections: the highest score is {best:.3f}, below the threshold of "
        f"{threshold:g}. Lower it with --score-threshold.\n{sought}"
    )


def video_table(objects: Counter[str]) -> Table:
    """Detections per class, over all frames of a video."""
    rows = [(name, str(count)) for name, count in objects.most_common()]
    return make_table(None, ("class", "detections"), rows or [("no detections", "")])


def _image_table(found: dict[str, Detections], classes: tuple[str, ...]) -> Table:
    table = FoldedTable()
    table.add_column("image")
    table.add_column("objects")
    for image_id, detections in found.items():
        counts = Counter(classes[label - 1] for label in detections.labels.tolist())
        text = ", ".join(f"{count} {name}" for name, count in counts.most_common())
        table.add_row(escape(image_id), escape(text) or "-")
    return table


def _class_table(found: dict[str, Detections], classes: tuple[str, ...]) -> Table:
    """Detections per class, most first, and the number of images with one of the class."""
    counts: Counter[int] = Counter()
    images: Counter[int] = Counter()
    for detections in found.values():
        labels = detections.labels.tolist()
        counts.update(labels)
        images.update(set(labels))
    empty = sum(len(detections) == 0 for detections in found.values())
    rows = [
        (classes[label - 1], f"{count:,}", f"{images[label]:,}")
        for label, count in counts.most_common()
    ]
    if empty:
        rows.append(("no detections", "", f"{empty:,}"))
    return make_table(None, ("class", "detections", "images"), rows)
