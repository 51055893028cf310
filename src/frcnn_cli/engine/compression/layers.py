"""Replace the fully connected layers of a model by their truncated SVD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from frcnn_cli.engine.compression.bounds import LAYERS, SECOND_LAYERS
from frcnn_cli.engine.compression.ranks import Choice, Decompositions, by_rank
from frcnn_cli.engine.compression.svd import Decomposition, FullyConnected, decompose
from frcnn_cli.engine.network.creation import rebuild_model, with_ranks
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.errors import InputError


@dataclass(frozen=True)
class CompressedLayer:
    """One replaced layer.

    energy: share of the squared singular values that was kept. weights_before, weights: number of
    weights before and after, without biases; also the multiply-adds per RoI.
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
    """A compressed model, its replaced layers, and the unchanged layers with the reason."""

    model: FastRCNN
    layers: tuple[CompressedLayer, ...]
    unchanged: dict[str, str]


def compress(model: FastRCNN, ranks: int | Mapping[str, int]) -> Compression:
    """Replace fc6 and fc7 of all heads by their truncated SVD.

    Layers that are already in two parts get a lower rank.
    ranks: one rank for all layers, which is not applied to a layer that it would not make smaller,
    or one rank per layer. Raises MisuseError if a rank given for a layer would not make it
    smaller, with the largest rank that would.
    """
    layers = decompose_layers(model)
    return replace_layers(model, layers, by_rank(layers, ranks))


def decompose_layers(model: FastRCNN, reporter: Reporter = SILENT) -> dict[str, Decomposition]:
    """The SVD of each layer that can be compressed.

    Raises InputError for weights that are not finite.
    """
    decompositions = {}
    names = LAYERS if model.second is None else LAYERS + SECOND_LAYERS
    with reporter.progress("Decomposing", len(names)) as advance:
        for name in names:
            layer = model.get_submodule(name)
            assert isinstance(layer, FullyConnected)
            if not all(weight.isfinite().all() for weight in layer.parameters()):
                raise InputError(f"{name}: some weights are not finite.")
            decompositions[name] = decompose(layer)
            advance(1, name)
    return decompositions


def replace_layers(model: FastRCNN, layers: Decompositions, choice: Choice) -> Compression:
    """A new model with the chosen ranks. layers: the decompositions of `model`'s layers."""
    of_replaced = tuple(f"{name}." for name in choice.ranks)
    state = {
        name: value.clone()
        for name, value in model.state_dict().items()
        if not name.startswith(of_replaced)
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
    return Compression(rebuilt, tuple(replaced), choice.unchanged)
