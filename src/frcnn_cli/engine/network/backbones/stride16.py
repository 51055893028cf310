"""Cut a torchvision classification network at its last complete feature map of stride 16.

The network is traced (torch.fx) and run on shapes only, for two image sizes. The growth of a map
gives its stride, whatever the padding. A map is complete if it lies between two consecutive blocks.
A map inside a block is not, such as the output of the first convolution of the block that has
stride 32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

# Equal modulo 32, so that rounding has the same effect on both.
_PROBES = (512, 832)
_CLASSIFIERS = ("classifier", "fc", "head", "heads")

Shapes = dict[str, torch.Size]


@dataclass(frozen=True)
class Cut:
    """The position of a cut.

    node: name of the operation whose result is the map. channels: of the map. early_layers:
    prefixes of the parameters used up to the first map of stride 4.
    """

    node: str
    channels: int
    early_layers: tuple[str, ...]


def find_cut(network: nn.Module) -> Cut:
    """Find where to cut a network on the meta device.

    Raises ValueError, with the reason, if it has no such map.
    """
    try:
        graph = fx.Tracer().trace(network)
        small, large = (_shapes(network, graph, size) for size in _PROBES)
    except Exception as error:  # a network can fail in any way for other image sizes
        raise ValueError("it does not accept images of every size") from error
    strides = {}
    for node in graph.nodes:
        if _module_paths(node) & set(_CLASSIFIERS):
            break
        stride = _stride(small.get(node.name), large.get(node.name))
        if stride is not None and _between_blocks(node, network):
            strides[node.name] = stride
    complete = [name for name, stride in strides.items() if stride == 16]
    if not complete:
        raise ValueError("it has no feature map of stride 16 with channels first")
    first = next(name for name, stride in strides.items() if stride >= 4)
    return Cut(complete[-1], small[complete[-1]][1], _layers_up_to(graph, first, network))


def cut_at(network: nn.Module, cut: Cut) -> nn.Module:
    """The layers of `network` up to the map: (N, 3, H, W) -> (N, channels, h, w)."""
    graph = fx.Tracer().trace(network)
    nodes = list(graph.nodes)
    position = next(index for index, node in enumerate(nodes) if node.name == cut.node)
    for node in reversed(nodes[position + 1 :]):
        graph.erase_node(node)
    graph.output(nodes[position])
    features = fx.GraphModule(network, graph, "Features")
    graph.eliminate_dead_code()
    features.recompile()
    features.delete_all_unused_submodules()
    return features


def _shapes(network: nn.Module, graph: fx.Graph, size: int) -> Shapes:
    """The shape of every tensor computed for a square image, by node name."""
    shapes: Shapes = {}

    class Recorder(fx.Interpreter):
        def run_node(self, node: fx.Node) -> Any:
            result = super().run_node(node)
            if isinstance(result, Tensor):
                shapes[node.name] = result.shape
            return result

    Recorder(network, graph=graph).run(torch.empty(1, 3, size, size, device="meta"))
    return shapes


def _stride(small: torch.Size | None, large: torch.Size | None) -> float | None:
    """Stride in pixels; None unless the shapes are maps (N, C, H, W) that grow with the image."""
    if small is None or large is None or len(small) != 4 or small[:2] != large[:2]:
        return None
    growth = large[2] - small[2]
    if growth <= 0 or large[3] - small[3] != growth:
        return None
    return (_PROBES[1] - _PROBES[0]) / growth


def _module_paths(node: fx.Node) -> set[str]:
    """Paths of the modules that an operation runs in."""
    return {path for path, _ in node.meta.get("nn_module_stack", {}).values()}


def _between_blocks(node: fx.Node, network: nn.Module) -> bool:
    """Whether all modules that contain both the operation and its users are sequences."""
    common = _module_paths(node).intersection(*(_module_paths(user) for user in node.users))
    return all(isinstance(network.get_submodule(path), nn.Sequential) for path in common if path)


def _layers_up_to(graph: fx.Graph, last: str, network: nn.Module) -> tuple[str, ...]:
    layers = []
    for node in graph.nodes:
        target = str(node.target)
        if node.op == "call_module" and list(network.get_submodule(target).parameters()):
            layers.append(f"{target}.")
        elif node.op == "get_attr":
            layers.append(target)
        if node.name == last:
            break
    return tuple(layers)
