"""The options of `frcnn detect`, as one record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from frcnn_cli.engine.detection.outputs import DetectionOutputs
from frcnn_cli.engine.detection.videos.pace import Pace
from frcnn_cli.engine.distributed.shard import Shard
from frcnn_cli.engine.parts.run import PartsOptions
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_proposals.errors import MisuseError


@dataclass(frozen=True)
class DetectOptions:
    """The options of `frcnn detect`."""

    images: tuple[str, ...]
    model: Path | None
    detection: DetectionOptions
    proposals: Path | None
    source: str | None
    parameters: tuple[str, ...]
    classes: tuple[str, ...] | None
    viz: bool
    out: Path
    runs_root: Path
    device: str
    max_pixels: int
    workers: int | None
    shard: Shard | None
    parts: PartsOptions
    outputs: DetectionOutputs
    pace: Pace

    def __post_init__(self) -> None:
        if self.workers is not None and self.parts.engine == "local":
            raise MisuseError("--workers is the number of Ray workers: add --engine ray.")
