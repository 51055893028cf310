"""`frcnn detect --parts`: write the detections to files of some images each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frcnn_cli.commands.detect.options import DetectOptions
from frcnn_cli.commands.shared.console import Output
from frcnn_cli.commands.shared.parts import run_in_parts
from frcnn_cli.engine.detection.outputs import DetectionOutputs
from frcnn_cli.engine.distributed.connect import connected, own_device
from frcnn_cli.engine.distributed.team import team_from_environment
from frcnn_cli.engine.models.store import find_model, note_model
from frcnn_cli.engine.parts.folder import About
from frcnn_proposals.errors import MisuseError

if TYPE_CHECKING:
    from frcnn_cli.engine.proposals.run import ImageFile


def detect_in_parts(output: Output, chosen: DetectOptions, files: list[ImageFile]) -> None:
    """Write the missing parts of the detections in `files` (image id, path)."""
    if chosen.outputs != DetectionOutputs():
        raise MisuseError(
            "--parts cannot be combined with --json, --csv, --yolo, --viz or --save-crops."
        )
    if chosen.workers is not None and chosen.parts.engine == "local":
        raise MisuseError("--workers is the number of Ray workers: add --engine ray.")
    from frcnn_cli.api.detector import Detector

    team = team_from_environment()
    with connected(team, chosen.device):
        device = chosen.device if team.world == 1 else str(own_device(team, chosen.device))
        path = find_model(chosen.model, chosen.runs_root).resolve()
        note_model(output, path, chosen.model, chosen.runs_root)
        detector = Detector(
            path,
            chosen.detection,
            device,
            None if chosen.proposals is None else chosen.proposals.resolve(),
            chosen.source,
            chosen.max_pixels,
            chosen.classes,
            chosen.parameters,
        )
        run_in_parts(
            output,
            chosen.parts,
            detector,
            About("detections", detector.identity, detector.class_names),
            files,
            "Detecting",
            chosen.shard,
            chosen.workers,
            gpus=int(device.startswith("cuda")),
            team=team,
        )
