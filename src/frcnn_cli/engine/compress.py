"""Compression by truncated SVD of the fully connected layers (paper, section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from frcnn_cli.engine.low_rank import LowRankLinear, break_even_rank, truncate
from frcnn_cli.engine.model import FastRCNN, rebuild_model, with_ranks
from frcnn_proposals.errors import MisuseError

LAYERS = ("fc6", "fc7")


@dataclass(frozen=True)
class CompressedLayer:
    """One layer that was replaced. energy: the share of squared singular values kept."""

    name: str
    inputs: int
    outputs: int
    rank: int
    energy: float


@dataclass(frozen=True)
class Compression:
    """A compressed model, what was replaced, and what was left alone, with the reason."""

    model: FastRCNN
    layers: tuple[CompressedLayer, ...]
    left_alone: dict[str, str]


def parse_ranks(text: str) -> int | dict[str, int]:
    """`256` for all layers, or `fc6=1024,fc7=256`. Raises MisuseError for anything else."""
    problem = MisuseError(
        f"'{text}' is no rank. Give one number for fc6 and fc7, as 256, "
        "or one for each, as fc6=1024,fc7=256."
    )
    try:
        if "=" not in text:
            ranks: dict[str, int] = dict.fromkeys(LAYERS, int(text))
        else:
            ranks = {k.strip(): int(v) for k, v in (p.split("=") for p in text.split(","))}
    except ValueError:
        raise problem from None
    if not set(ranks) <= set(LAYERS) or min(ranks.values()) < 1:
        raise problem
    return ranks if "=" in text else ranks["fc6"]


def compress(model: FastRCNN, ranks: int | Mapping[str, int]) -> Compression:
    """Replace fc6 and fc7 by their truncated SVD.

    ranks: one for both, where a layer that it would not make smaller is left alone; or one a
    layer, where that is an error. Raises MisuseError then, with the rank that would pay.
    """
    wanted = dict.fromkeys(LAYERS, ranks) if isinstance(ranks, int) else dict(ranks)
    layers, replaced, left_alone = [], {}, {}
    for name, rank in wanted.items():
        layer = getattr(model, name)
        reason = _reason_against(layer, rank)
        if reason is not None:
            if not isinstance(ranks, int):
                raise MisuseError(f"{name} cannot be compressed to rank {rank}: {reason}.")
            left_alone[name] = reason
            continue
        replaced[name], energy = truncate(layer, rank)
        layers.append(CompressedLayer(name, layer.in_features, layer.out_features, rank, energy))
    architecture = with_ranks(model.architecture, {layer.name: layer.rank for layer in layers})
    state = {
        name: value.clone()
        for name, value in model.state_dict().items()
        if name.split(".")[0] not in replaced
    }
    for name, layer in replaced.items():
        state |= {f"{name}.{key}": value for key, value in layer.state_dict().items()}
    return Compression(rebuild_model(architecture, state), tuple(layers), left_alone)


def _reason_against(layer: nn.Module, rank: int) -> str | None:
    if isinstance(layer, LowRankLinear):
        return f"it is already two layers, of rank {layer.first.out_features}"
    if not isinstance(layer, nn.Linear):
        return "it is not fully connected"
    most = break_even_rank(layer.in_features, layer.out_features)
    if rank > most:
        return f"{layer.out_features} x {layer.in_features} gets smaller only up to rank {most}"
    return None
