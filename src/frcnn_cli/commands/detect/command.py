"""`frcnn detect`: detect objects in images and videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from frcnn_cli.commands.detect.options import DetectOptions
from frcnn_cli.commands.detect.output import print_files, print_video
from frcnn_cli.commands.detect.parts import detect_in_parts
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_cli.commands.shared.detection_options import (
    check_proposals_file,
    detection_options,
    take,
)
from frcnn_cli.commands.shared.parts import parts_options, shard, take_parts
from frcnn_cli.commands.shared.paths import is_standard_output
from frcnn_cli.engine.datasets.inputs import find_images
from frcnn_cli.engine.detection.outputs import DetectionOutputs
from frcnn_cli.engine.detection.videos.frames import check_video, is_video
from frcnn_cli.engine.detection.videos.pace import ALL_FRAMES, Pace
from frcnn_cli.engine.models.store import find_model
from frcnn_cli.engine.records import ImageFile
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.files import check_writable

_ONE_VIDEO = "Only one video or camera can be processed at a time, by one process."


def _some(context: click.Context, _: click.Parameter, images: tuple[str, ...]) -> tuple[str, ...]:
    if not images and not context.resilient_parsing:
        raise click.UsageError(
            "Name the images: files, folders, globs, lists of paths, datasets, or a video. "
            "--source is the source of the proposals."
        )
    return images


@click.command()
@click.argument("images", nargs=-1, metavar="IMAGE...", callback=_some)
@options.model
@options.proposals_of_images
@options.source
@options.parameters
@click.option(
    "--score-threshold",
    type=float,
    show_default="the model's setting, usually 0.5, or 0.05 for WSDDN; a margin of 0 for SVMs",
    help="Discard detections with a lower score. Use 0.01 or less for a file that will be "
    "evaluated.",
)
@click.option(
    "--classes",
    metavar="NAME,NAME,...",
    callback=lambda _, __, value: None if value is None else parse_names(value),
    show_default="all",
    help="Write only detections of these classes of the model.",
)
@detection_options
@click.option(
    "--tile",
    metavar="SIZE",
    type=int,
    show_default="the whole image only",
    help="Detect small objects in large images: process the whole image and also tiles of SIZE x "
    "SIZE pixels of it, and merge the detections.",
)
@click.option(
    "--overlap",
    metavar="SHARE",
    type=float,
    show_default="0.2",
    help="Overlap of neighbouring tiles, as a share of SIZE. Objects up to this length are "
    "complete in at least one tile.",
)
@click.option("--viz", is_flag=True, help="Save annotated images to the folder --out.")
@click.option(
    "--out",
    type=options.OutputFolder,
    default=Path("detections"),
    show_default=True,
    help="Folder for annotated images, or for the annotated video and its detections.",
)
@options.runs_root
@options.device
@options.max_pixels
@options.count(
    "--every",
    default=1,
    help="In a video, process the first frame and every Nth frame after it.",
)
@click.option(
    "--realtime",
    is_flag=True,
    help="Drop the frames of a video or camera that arrive while the detector is busy. A file is "
    "then played at its own frame rate.",
)
@options.json_file
@click.option(
    "--csv",
    "csv_path",
    type=options.OutputFile,
    help="Write one row per detection to this file as CSV: image,class,score,x1,y1,x2,y2.",
)
@click.option(
    "--yolo",
    type=options.OutputFolder,
    help="Write one text file per image into this folder, with one line per detection: class "
    "number, centre x, centre y, width, height, score.",
)
@click.option(
    "--save-crops",
    "crops",
    type=options.OutputFolder,
    help="Write the pixels of each box into this folder, as CLASS/IMAGE-N.jpg.",
)
@shard
@parts_options
@options.ray_workers
@pass_output
def detect(output: Output, /, **given: Any) -> None:
    """Detect objects in IMAGES (files, folders, globs, lists of paths, datasets) or in a video.

    Proposals are computed for each image unless --proposals names a file. With --json, the
    detections of each finished image are stored in FILE.partial; after Ctrl-C or a crash, run
    the same command to resume.

    A video file or a camera is processed frame by frame. A camera is written as camera:0, as 0 if
    it is the only input, or as an address (rtsp://host/stream). The annotated video and its
    detections (JSON) are written to the folder --out. Ctrl-C stops the command; both files then
    contain all frames up to that point.

    \b
    frcnn detect street.jpg --viz
    frcnn detect photos/ --json detections.json --score-threshold 0.01
    frcnn detect aerial.jpg --tile 640 --overlap 0.25 --top-k 1000
    frcnn detect photos/ --parts found
    frcnn detect drive.mp4 --out annotated
    frcnn detect 0 --out camera --realtime --source tracked
    """
    outputs = take(DetectionOutputs, given, annotated=given["out"] if given["viz"] else None)
    pace, parts = take(Pace, given), take_parts(given)
    detection = take(DetectionOptions, given)
    chosen = DetectOptions(detection=detection, outputs=outputs, pace=pace, parts=parts, **given)
    alone = len(chosen.images) == 1
    videos = [name for name in chosen.images if is_video(name, alone)]
    files = _checked_files(chosen, videos, output)
    for folder in (chosen.out,) if videos else outputs.folders:
        check_writable(folder, is_folder=True)
    check_proposals_file(chosen.proposals)
    find_model(chosen.model, chosen.runs_root)
    if parts.parts is not None:
        detect_in_parts(output, chosen, files)
        return
    from frcnn_cli.engine.detection.run import detect_in_files, make_detector
    from frcnn_cli.engine.detection.videos.run import detect_in_video
    from frcnn_cli.engine.models.loaded import model_in_team

    with model_in_team(
        chosen.model, chosen.runs_root, chosen.device, chosen.detection.precision, output
    ) as (loaded, team):
        detector = make_detector(
            loaded,
            chosen.detection,
            chosen.proposals,
            chosen.source,
            chosen.classes,
            chosen.parameters,
        )
        if videos:
            if team.world > 1:
                raise MisuseError(_ONE_VIDEO)
            done = detect_in_video(detector, videos[0], chosen.out, outputs, output, pace)
            print_video(output, chosen, done, detector)
        else:
            # The temporary file for standard output is not there when the command is repeated.
            resumable = not is_standard_output(outputs.json_path)
            detected = detect_in_files(
                detector, files, outputs, chosen.max_pixels, team, output, resumable
            )
            if team.is_first:
                print_files(output, chosen, detected, detector)


def _checked_files(chosen: DetectOptions, videos: list[str], output: Output) -> list[ImageFile]:
    """Return the image files. Raises for missing files before any slow import."""
    if videos:
        if len(chosen.images) > 1:
            raise MisuseError(_ONE_VIDEO)
        if chosen.parts.parts is not None or chosen.shard is not None:
            raise MisuseError("--parts and --shard are for images: a video cannot be divided.")
        for name in videos:
            check_video(name)
        return []
    if chosen.pace != ALL_FRAMES:
        raise MisuseError("--every and --realtime apply to a video or a camera, not to images.")
    for name in chosen.images:
        if name.isdecimal() and not Path(name).exists():
            raise MisuseError(
                f"{name}: no file or folder of this name. Write several values of an option with "
                "commas, such as --scales 480,600, and a camera as camera:0."
            )
    files = find_images(chosen.images, allow_mismatch=True, reporter=output, shard=chosen.shard)
    chosen.outputs.reject_inputs(files)
    return files


def parse_names(text: str) -> tuple[str, ...]:
    """The names in `person,dog`. Raises MisuseError if there are none."""
    names = tuple(name for part in text.split(",") if (name := part.strip()))
    if not names:
        raise MisuseError(f"--classes is written as person,dog, not '{text}'.")
    return names
