"""The bound by which the ranks of layers are chosen; its values are checked on creation.

Needs no network, so that a command line is checked before any slow import.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frcnn_cli.engine.models.shipped.table import beside
from frcnn_cli.engine.settings.network import SECOND
from frcnn_proposals.errors import MisuseError

LAYERS = ("fc6", "fc7")
SECOND_LAYERS = tuple(SECOND + name for name in LAYERS)


@dataclass(frozen=True)
class Bound:
    """At most one bound on the compression; none if weights are only stored in bfloat16.

    svd_rank: one rank for all layers, or one per layer; the rank of fc6 or fc7 is also that of the
    second head's layer, unless it has its own (second.fc6). energy: the smallest ranks that keep
    this share (0, 1] of the squared singular values. budget: the best ranks within this share
    (0, 1) of the original time. max_drop: the smallest layers that lose at most this many mAP
    points. Raises MisuseError if more than one is given or a value is out of range.
    """

    svd_rank: int | Mapping[str, int] | None = None
    energy: float | None = None
    budget: float | None = None
    max_drop: float | None = None

    def __post_init__(self) -> None:
        given = list(self.to_json())
        if len(given) > 1:
            raise MisuseError(f"{' and '.join(given)} cannot be combined: use one of them.")
        if self.svd_rank is not None:
            _check_ranks(self.svd_rank, str(self.svd_rank))
        if self.energy is not None:
            check_energy(self.energy)
        if self.budget is not None:
            _check_budget(self.budget, f"{self.budget:g}")
        if self.max_drop is not None and not 0 <= self.max_drop <= 100:
            raise MisuseError(f"The drop of mAP must be 0 to 100 points, not {self.max_drop:g}.")

    @property
    def is_none(self) -> bool:
        """Whether there is no bound, and so no ranks to choose."""
        return not self.to_json()

    def to_json(self) -> dict[str, Any]:
        """The given bound by its name."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class BoundOptions:
    """The options that choose the ranks, as written on the command line."""

    svd_rank: str | None
    energy: float | None
    budget: str | None
    max_drop: float | None
    half: bool
    sweep: str | None

    def __post_init__(self) -> None:
        """Raises MisuseError unless exactly one option is given, or --half alone."""
        given = [
            f"--{name.replace('_', '-')}"
            for name in ("svd_rank", "energy", "budget", "max_drop", "sweep")
            if getattr(self, name) is not None
        ]
        if len(given) > 1:
            raise MisuseError(f"{' and '.join(given)} cannot be combined: use one of them.")
        if not given and not self.half:
            raise MisuseError(
                "Choose how to compress: --svd-rank 256, --energy 0.9, --budget 0.7x or "
                "--max-drop 0.3.\nUse --half alone to store the weights in bfloat16."
            )

    def bound(self) -> Bound:
        """The bound that the ranks must keep. Raises MisuseError for a value out of range."""
        return parse_bound(self.svd_rank, self.energy, self.budget, self.max_drop)

    def sweep_ranks(self) -> tuple[int, ...] | None:
        """The ranks of --sweep. Raises MisuseError unless it is a list of ranks."""
        return None if self.sweep is None else parse_sweep_ranks(self.sweep)

    def label(self) -> str:
        """The bound as part of a file name: svd-256, energy-0.9, drop-0.3-half."""
        values = {
            "svd": self.svd_rank,
            "energy": self.energy,
            "budget": self.budget,
            "drop": self.max_drop,
        }
        parts = [f"{name}-{value}" for name, value in values.items() if value is not None]
        label = "-".join([*parts, *(["half"] if self.half else [])])
        return label.replace("=", "").replace(",", "-").replace(" ", "")

    def file_beside(self, model: Path) -> Path:
        """The default file of the compressed model, named by the bound; see `beside`."""
        return beside(model, f"{model.stem}-{self.label()}.safetensors")


def parse_bound(
    svd_rank: str | None, energy: float | None, budget: str | None, max_drop: float | None
) -> Bound:
    """The bound given by these options. Raises MisuseError if a value is out of range."""
    return Bound(
        None if svd_rank is None else parse_ranks(svd_rank),
        energy,
        None if budget is None else parse_budget(budget),
        max_drop,
    )


def parse_ranks(text: str) -> int | dict[str, int]:
    """`256` for all layers, or `fc6=1024,fc7=256`. Raises MisuseError for anything else."""
    ranks: int | dict[str, int]
    try:
        if "=" in text:
            pairs = (part.split("=") for part in text.split(","))
            ranks = {name.strip(): int(value) for name, value in pairs}
        else:
            ranks = int(text)
    except ValueError:
        ranks = 0
    _check_ranks(ranks, text)
    return ranks


def parse_budget(text: str) -> float:
    """`0.7x` (or `0.7`) as 0.7. Raises MisuseError unless it is between 0 and 1."""
    try:
        budget = float(text.strip().removesuffix("x"))
    except ValueError:
        budget = 0.0
    _check_budget(budget, text)
    return budget


def parse_sweep_ranks(text: str) -> tuple[int, ...]:
    """The sorted, distinct ranks in `64,128,256`. Raises MisuseError for anything else."""
    try:
        ranks = tuple(sorted({int(value) for value in text.split(",")}))
    except ValueError:
        ranks = ()
    if not ranks or ranks[0] < 1:
        raise MisuseError(f"--sweep must be a list of ranks such as 64,128,256,512, not '{text}'.")
    return ranks


def check_energy(share: float) -> None:
    """Raises MisuseError for a share outside (0, 1]."""
    if not 0 < share <= 1:
        raise MisuseError(f"The energy must be more than 0 and at most 1, not {share:g}.")


def _check_ranks(ranks: int | Mapping[str, int], text: str) -> None:
    by_layer = dict.fromkeys(LAYERS, ranks) if isinstance(ranks, int) else ranks
    if not set(by_layer) <= {*LAYERS, *SECOND_LAYERS} or min(by_layer.values(), default=0) < 1:
        raise MisuseError(
            f"Invalid rank '{text}'. Use one number for both layers, such as 256, "
            "or one per layer: fc6=1024,fc7=256."
        )


def _check_budget(budget: float, text: str) -> None:
    if not 0 < budget < 1:
        raise MisuseError(
            f"Invalid budget '{text}'. Use a share of the original time, such as 0.7x."
        )
