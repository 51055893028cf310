"""A model with its fully connected layers replaced by their truncated SVD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from frcnn_cli.engine.compression.bounds import LAYERS
from frcnn_cli.engine.compression.ranks import Choice, Decompositions, by_rank
from frcnn_cli.engine.compression.svd import Decomposition, decompose
from frcnn_cli.engine.network.model import FastRCNN, rebuild_model, with_ranks
from frcnn_cli.engine.reporter import SILENT, Reporter


@dataclass(frozen=True)
class CompressedLayer:
    """One layer that was replaced.

    energy: the share kept of the squared singular values that it had. weights_before, weights:
    how many numbers its matrices held and hold; also its multiply-adds for one RoI.
    """

    name: str
    inputs: int
    outputs: int
    rank: int
    energy: float
    weights_before: int
    weights: int

    def to_json(self) -> dict[str, Any]:
        """As JSON values: inputs, outputs, rank, energy, weights_before, weights."""
        return {key: value for key, value in asdict(self).items() if key != "name"}


@dataclass(frozen=True)
class Compression:
    """A compressed model, what was replaced, and what was left alone, with the reason."""

    model: FastRCNN
    layers: tuple[CompressedLayer, ...]
    left_alone: dict[str, str]


def compress(model: FastRCNN, ranks: int | Mapping[str, int]) -> Compression:
    """Replace fc6 and fc7 by their truncated SVD; layers in two parts already get a lower rank.

    ranks: one for both, where a layer that it would not make smaller is left alone; or one a
    layer, where that is an error. Raises MisuseError then, with the rank that would pay.
    """
    layers = decompose_layers(model)
    return replace_layers(model, layers, by_rank(layers, ranks))


def decompose_layers(model: FastRCNN, reporter: Reporter = SILENT) -> dict[str, Decomposition]:
    """The SVD of each layer that can be compressed."""
    decompositions = {}
    with reporter.progress("Decomposing", len(LAYERS)) as advance:
        for name in LAYERS:
            decompositions[name] = decompose(getattr(model, name))
            advance(1, name)
    return decompositions


def replace_layers(model: FastRCNN, layers: Decompositions, choice: Choice) -> Compression:
    """A model of its own with the chosen ranks; `layers` are the decompositions of `model`'s."""
    state = {
        name: value.clone()
        for name, value in model.state_dict().items()
        if name.split(".")[0] not in choice.ranks
    }
    replaced = []
    for name, rank in choice.ranks.items():
        layer = layers[name]
        thin = layer.truncate(rank)
        state |= {f"{name}.{key}": value for key, value in thin.state_dict().items()}
        replaced.append(
            CompressedLayer(
                name,
                layer.inputs,
                layer.outputs,
                rank,
                float(layer.energy_kept[rank - 1]),
                layer.multiply_adds,
                rank * (layer.inputs + layer.outputs),
            )
        )
    rebuilt = rebuild_model(with_ranks(model.architecture, choice.ranks), state)
    return Compression(rebuilt, tuple(replaced), choice.left_alone)
