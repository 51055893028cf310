"""`frcnn detect`: find objects in images."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import click
import PIL.Image
import torch
from rich.markup import escape

from frcnn_cli.commands.detect.options import Asked, Detector, open_detector
from frcnn_cli.commands.detect.tables import detection_table
from frcnn_cli.commands.detect.video import detect_in_video
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.detection_options import detecting_options, identity, unfinished
from frcnn_cli.engine.detection.images import DetectedFile, detect_files, proposals_of
from frcnn_cli.engine.detection.journal import Journal
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.detection.video import is_video
from frcnn_cli.engine.distributed.connect import joined
from frcnn_cli.engine.distributed.devices import find_device
from frcnn_cli.engine.distributed.team import Team, team_from_environment
from frcnn_cli.engine.drawing.detections import draw_detections
from frcnn_cli.engine.evaluation.coco_results import coco_results
from frcnn_cli.engine.proposals.inputs import find_images
from frcnn_cli.engine.records import Detections
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.files import refuse_to_replace, write_whole
from frcnn_proposals.images import read_image
from frcnn_proposals.store.provenance import Provenance


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
@detecting_options
@click.option("--viz", is_flag=True, help="Draw the detections, into the folder --out.")
@click.option(
    "--out",
    type=options.FolderPath,
    default=Path("detections"),
    show_default=True,
    help="Folder for the pictures, or for the video and its detections.",
)
@options.runs_root
@options.device
@options.max_pixels
@options.json_file
@pass_output
def detect(output: Output, /, **given: Any) -> None:
    """Find objects in IMAGES: files, folders, globs, lists of paths, data sets; or in a video.

    Proposals are made on the fly unless --proposals names a file of them. With --json each
    image's detections go to disk as they are made (FILE.partial); the same command goes on
    with them after Ctrl-C or worse.

    A video file, or the number of a camera, is read frame by frame: the video with its boxes and
    their json go to the folder --out. Ctrl-C ends it, and both hold what was done by then.

    \b
    frcnn detect street.jpg --viz
    frcnn detect photos/ --json detections.json --score-threshold 0.01
    frcnn detect drive.mp4 --out annotated
    frcnn detect 0 --out camera
    """
    asked = Asked(**given)
    team = team_from_environment()
    with joined(team, find_device(asked.device)) as device:
        if any(map(is_video, asked.images)):
            if len(asked.images) > 1 or team.world > 1:
                raise MisuseError("Give one video or camera at a time, to one process.")
            detect_in_video(output, asked, device)
        else:
            _detect(output, asked, team, device)


def _detect(output: Output, asked: Asked, team: Team, device: torch.device) -> None:
    """Detect in this process's part of the images; the first prints and writes for all."""
    files = find_images(asked.images)
    if asked.viz:
        for image_id, file in files:
            refuse_to_replace(file, _picture(asked, image_id))
    part = team.part(files)
    detector = open_detector(output, asked, device)
    loaded, classes, settings = detector.loaded, detector.classes, detector.settings
    propose = proposals_of(detector.source)
    journal = _journal(asked, detector, team)
    found: dict[str, Detections] = {}
    failed: list[str] = []
    with unfinished(output, journal), output.progress("Detecting", len(part)) as advance:
        model = prepare_model(loaded.model, detector.loaded.precision)
        for result in detect_files(model, part, propose, settings, journal, asked.max_pixels):
            if result.detections is None:
                failed.append(str(result.error))
            else:
                found[result.image_id] = result.detections
                if asked.viz:
                    _write_picture(result, classes, asked)
            advance(1, result.path.name)
    found, failed = _joined(team, [image_id for image_id, _ in files], found, failed)
    if journal is not None and not team.is_first:
        journal.remove()
    if not team.is_first:
        return
    if asked.json_path is not None and journal is not None:
        write_json(asked.json_path, coco_results(found, classes))
        journal.remove()
    _print(output, asked, found, classes)
    if failed:
        more = [f"{len(failed)} failed."] if failed[3:] else []
        raise InputError("\n".join(failed[: 3 - len(more)] + more))


def _joined(
    team: Team, ids: list[str], found: dict[str, Detections], failed: list[str]
) -> tuple[dict[str, Detections], list[str]]:
    """What all processes have found, in the order of the images, and what has failed."""
    if team.world == 1:
        return found, failed
    parts = team.gather((found, failed))
    everything = {name: each for of_part, _ in parts for name, each in of_part.items()}
    in_order = {name: everything[name] for name in ids if name in everything}
    return in_order, [text for _, texts in parts for text in texts]


def _journal(asked: Asked, detector: Detector, team: Team) -> Journal | None:
    """The journal beside the file of --json."""
    if asked.json_path is None:
        return None
    proposals = Provenance.of(detector.source).fingerprint
    path = asked.json_path.with_name(asked.json_path.name + f"{team.label}.partial")
    return Journal(path, identity(detector.loaded, detector.settings, proposals))


def _picture(asked: Asked, image_id: str) -> Path:
    return asked.out / f"{image_id}.jpg"


def _write_picture(result: DetectedFile, classes: tuple[str, ...], asked: Asked) -> None:
    """Draw into the folder --out; what a journal knew is drawn where its picture is missing."""
    assert result.detections is not None
    path = _picture(asked, result.image_id)
    if result.image is None and path.exists():
        return
    image = result.image
    if image is None:
        image = read_image(result.path, asked.max_pixels)
    picture = draw_detections(image, result.detections, classes)
    buffer = io.BytesIO()
    PIL.Image.fromarray(picture).save(buffer, "JPEG", quality=92)
    write_whole(path, buffer.getvalue())


def _print(
    output: Output, asked: Asked, found: dict[str, Detections], classes: tuple[str, ...]
) -> None:
    if found:
        output.print(detection_table(found, classes))
    if asked.viz and found:
        output.print(f"Pictures: [bold]{escape(str(asked.out))}[/]")
    if asked.json_path is not None:
        output.note(f"Detections: {asked.json_path}")
