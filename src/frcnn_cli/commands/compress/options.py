"""What the command line of `frcnn compress` said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from frcnn_cli.commands.compress.ranks import Bound, parse_bound
from frcnn_proposals.errors import MisuseError


@dataclass(frozen=True)
class Asked:
    """What the command line said."""

    model: str | None
    dataset: str | None
    svd_rank: str | None
    energy: float | None
    budget: str | None
    max_drop: float | None
    half: bool
    sweep: str | None
    plot: Path
    out: Path | None
    split: str | None
    data_root: Path | None
    proposals: Path | None
    source: str | None
    runs_root: Path
    device: str
    json_path: Path | None

    def bound(self) -> Bound:
        """What ranks are chosen by. Raises MisuseError unless one way is named, or --half alone."""
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
        return parse_bound(self.svd_rank, self.energy, self.budget, self.max_drop)

    def label(self) -> str:
        """What the file's name says of the bound: svd-256, energy-0.9, drop-0.3-half."""
        ways = {
            "svd": self.svd_rank,
            "energy": self.energy,
            "budget": self.budget,
            "drop": self.max_drop,
        }
        parts = [f"{name}-{value}" for name, value in ways.items() if value is not None]
        words = "-".join([*parts, *(["half"] if self.half else [])])
        return words.replace("=", "").replace(",", "-").replace(" ", "")
