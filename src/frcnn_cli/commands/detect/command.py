"""`frcnn detect`: detect objects in images and videos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from frcnn_cli.commands.detect.tables import detection_table, video_table
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_cli.commands.shared.detection_options import (
    check_proposals_file,
    detection_options,
    take,
)
from frcnn_cli.engine.detection.video import check_video, is_video
from frcnn_cli.engine.drawing.detections import annotated_image_path
from frcnn_cli.engine.models.store import find_model
from frcnn_cli.engine.proposals.inputs import find_images
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.files import refuse_to_replace

if TYPE_CHECKING:
    from frcnn_cli.engine.detection.images import ImageDetections
    from frcnn_cli.engine.detection.video_run import VideoDetections
    from frcnn_cli.engine.proposals.run import ImageFile


@dataclass(frozen=True)
class DetectOptions:
    """The options of `frcnn detect`."""

    images: tuple[str, ...]
    model: Path | None
    detection: DetectionOptions
    proposals: Path | None
    source: str | None
    viz: bool
    out: Path
    runs_root: Path
    device: str
    max_pixels: int
    json_path: Path | None


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--model", type=options.AnyPath, show_default="newest run", help="Model file or run folder."
)
@options.proposals
@options.source
@click.option(
    "--score-threshold",
    type=float,
    show_default="0.5, or a margin of 0 for SVM classifiers",
    help="Discard detections with a lower score. Use 0.01 or less for a file that will be "
    "evaluated.",
)
@detection_options
@click.option("--viz", is_flag=True, help="Save annotated images to the folder --out.")
@click.option(
    "--out",
    type=options.FolderPath,
    default=Path("detections"),
    show_default=True,
    help="Folder for annotated images, or for the annotated video and its detections.",
)
@options.runs_root
@options.device
@options.max_pixels
@options.json_file
@pass_output
def detect(output: Output, /, **given: Any) -> None:
    """Detect objects in IMAGES (files, folders, globs, lists of paths, datasets) or in a video.

    Proposals are computed for each image unless --proposals names a file. With --json, the
    detections of each finished image are stored in FILE.partial; after Ctrl-C or a crash, run
    the same command to resume.

    A video file or a camera number is processed frame by frame. The annotated video and its
    detections (JSON) are written to the folder --out. Ctrl-C stops the command; both files then
    contain all frames up to that point.

    \b
    frcnn detect street.jpg --viz
    frcnn detect photos/ --json detections.json --score-threshold 0.01
    frcnn detect drive.mp4 --out annotated
    frcnn detect 0 --out camera
    """
    chosen = DetectOptions(detection=take(DetectionOptions, given), **given)
    videos = [name for name in chosen.images if is_video(name)]
    files = _checked_files(chosen, videos)
    check_proposals_file(chosen.proposals)
    find_model(chosen.model, chosen.runs_root)
    from frcnn_cli.engine.detection.run import detect_in_files, make_detector
    from frcnn_cli.engine.detection.video_run import detect_in_video
    from frcnn_cli.engine.models.loaded import model_in_team

    with model_in_team(
        chosen.model, chosen.runs_root, chosen.device, chosen.detection.precision, output
    ) as (loaded, team):
        detector = make_detector(loaded, chosen.detection, chosen.proposals, chosen.source)
        if videos:
            if len(chosen.images) > 1 or team.world > 1:
                raise MisuseError(
                    "Only one video or camera can be processed at a time, by one process."
                )
            _print_video(
                output, detect_in_video(detector, videos[0], chosen.out, chosen.json_path, output)
            )
        else:
            annotated = chosen.out if chosen.viz else None
            detected = detect_in_files(
                detector, files, chosen.json_path, annotated, chosen.max_pixels, team, output
            )
            if team.is_first:
                _print_files(output, chosen, detected, loaded.classes)


def _checked_files(chosen: DetectOptions, videos: list[str]) -> list[ImageFile]:
    """Return the image files. Raises for missing files before any slow import."""
    if videos:
        for name in videos:
            check_video(name)
        return []
    files = find_images(chosen.images, allow_mismatch=True)
    if chosen.viz:
        for image_id, file in files:
            refuse_to_replace(file, annotated_image_path(chosen.out, image_id))
    return files


def _print_files(
    output: Output, chosen: DetectOptions, detected: ImageDetections, classes: tuple[str, ...]
) -> None:
    if detected.detections:
        output.print(detection_table(detected.detections, classes))
        if chosen.viz:
            output.print(f"Annotated images: [bold]{escape(str(chosen.out))}[/]")
    if chosen.json_path is not None:
        output.note(f"Detections: {chosen.json_path}")
    failures = detected.failures
    if failures:
        more = [f"{len(failures)} images failed in total."] if failures[3:] else []
        raise InputError("\n".join([*failures[: 3 - len(more)], *more]))


def _print_video(output: Output, done: VideoDetections) -> None:
    output.print(video_table(done.objects))
    output.note(
        f"{done.frames} frames in {done.seconds:.1f} s: "
        f"{done.frames / done.seconds:.1f} frames per second"
    )
    output.print(f"Video: [bold]{escape(str(done.path))}[/]")
    output.note(f"Detections: {done.json_path}")
    if done.failure is not None:
        raise done.failure
    if done.interrupted:
        output.note(f"Interrupted after {done.frames} frames: the files contain all of them.")
        raise KeyboardInterrupt
