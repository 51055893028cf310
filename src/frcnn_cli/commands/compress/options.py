"""The options of `frcnn compress`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from frcnn_cli.engine.compression.bounds import Bound, parse_bound, parse_sweep_ranks
from frcnn_cli.engine.settings.options import DataOptions
from frcnn_proposals.errors import MisuseError


@dataclass(frozen=True)
class BoundOptions:
    """How far to compress, as written on the command line."""

    svd_rank: str | None
    energy: float | None
    budget: str | None
    max_drop: float | None
    half: bool
    sweep: str | None

    def __post_init__(self) -> None:
        """Raises MisuseError unless one way is given, or --half alone."""
        ways = [
            f"--{name.replace('_', '-')}"
            for name in ("svd_rank", "energy", "budget", "max_drop", "sweep")
            if getattr(self, name) is not None
        ]
        if len(ways) > 1:
            raise MisuseError(f"Give one of {' and '.join(ways)}: each chooses the ranks alone.")
        if not ways and not self.half:
            raise MisuseError(
                "Say how far to compress, as --svd-rank 256, --energy 0.9, --budget 0.7x or "
                "--max-drop 0.3;\n--half alone stores the weights in bfloat16."
            )

    def bound(self) -> Bound:
        """What ranks are chosen by. Raises MisuseError for a value out of range."""
        return parse_bound(self.svd_rank, self.energy, self.budget, self.max_drop)

    def sweep_ranks(self) -> tuple[int, ...] | None:
        """The ranks of --sweep. Raises MisuseError for what is no list of ranks."""
        return None if self.sweep is None else parse_sweep_ranks(self.sweep)

    def label(self) -> str:
        """The bound as part of a file's name: svd-256, energy-0.9, drop-0.3-half."""
        ways = {
            "svd": self.svd_rank,
            "energy": self.energy,
            "budget": self.budget,
            "drop": self.max_drop,
        }
        parts = [f"{name}-{value}" for name, value in ways.items() if value is not None]
        words = "-".join([*parts, *(["half"] if self.half else [])])
        return words.replace("=", "").replace(",", "-").replace(" ", "")


@dataclass(frozen=True)
class CompressOptions:
    """All options: what to compress, how far, and on which images to measure mAP."""

    model: Path | None
    way: BoundOptions
    data: DataOptions
    plot: Path
    out: Path | None
    runs_root: Path
    device: str
    json_path: Path | None
