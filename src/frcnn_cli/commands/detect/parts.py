"""`frcnn detect --parts`: write the detections to files of some images each."""

from __future__ import annotations

from dataclasses import replace

from frcnn_cli.commands.detect.options import DetectOptions
from frcnn_cli.commands.shared.console import Output
from frcnn_cli.commands.shared.parts import print_parts
from frcnn_cli.engine.detection.outputs import DetectionOutputs
from frcnn_cli.engine.distributed.connect import connected, own_device
from frcnn_cli.engine.distributed.team import team_from_environment
from frcnn_cli.engine.models.store import find_model, note_model
from frcnn_cli.engine.parts.run import run_in_parts
from frcnn_cli.engine.records import ImageFile
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.formats.parts.about import About


def detect_in_parts(output: Output, chosen: DetectOptions, files: list[ImageFile]) -> None:
    """Write the missing parts of the detections in `files` (image id, path)."""
    if chosen.outputs != DetectionOutputs():
        raise MisuseError(
            "--parts cannot be combined with --json, --csv, --yolo, --viz or --save-crops."
        )
    on_ray = chosen.parts.engine == "ray"
    if on_ray and chosen.device.startswith("cuda:"):
        raise MisuseError("--engine ray chooses the GPU of each worker: use --device cuda.")
    on_gpus = None if chosen.device == "auto" else int(chosen.device == "cuda")
    from frcnn_cli.api.detector import Detector

    team = team_from_environment()
    with connected(team, chosen.device):
        # Workers of Ray load the network; this machine may have another device, or no GPU.
        device = "auto" if on_ray and on_gpus else chosen.device
        if team.world > 1:
            device = str(own_device(team, chosen.device))
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
        about = About("detections", detector.identity, detector.class_names)
        if on_ray:
            precision = about.identity["settings"]["precision"]  # one for all workers
            detection = replace(chosen.detection, precision=precision)
            detector = replace(detector, device=chosen.device, options=detection)
        result = run_in_parts(
            chosen.parts,
            detector,
            about,
            files,
            "Detecting",
            chosen.shard,
            chosen.workers,
            on_gpus,
            team,
            output,
        )
        if team.is_first:
            print_parts(output, result)
