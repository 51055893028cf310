"""Receptive fields: the pixels of the image that cells of the feature map are computed from.

    fields = ReceptiveFields(model.architecture.backbone, (600, 1000))
    fields.of(Window(range(10, 17), range(20, 27))).pixels

The layers are walked backward from the map. Rows a to b of the result of a convolution or pooling
layer with kernel k, stride s and padding p are computed from rows a * s - p to b * s - p + k - 1
of its input. Upsampling, and averages over a whole map, are the only other layers that change the
window. Only shapes are computed, which needs no weights.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.modules.utils import _pair

from frcnn_cli.engine.network.backbones.find import find_backbone

Size = tuple[int, int]
_ONE_CELL = (1, 1)  # the size of an average over a map
_LAYERS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
_FUNCTIONS = (F.max_pool2d, F.avg_pool2d)


class Window(NamedTuple):
    """Some consecutive rows and columns of a map or an image."""

    rows: range
    columns: range

    def joined(self, other: Window) -> Window:
        """The smallest window that contains both."""
        rows, columns = (
            range(min(a.start, b.start), max(a.stop, b.stop))
            for a, b in zip(self, other, strict=True)
        )
        return Window(rows, columns)


class Geometry(NamedTuple):
    """Of a convolution or pooling layer, each for rows and columns."""

    kernel_size: Size
    stride: Size
    padding: Size = (0, 0)
    dilation: Size = (1, 1)


class Step(NamedTuple):
    """One convolution or pooling layer of the walk. size, window: of its input, and what is used.

    layer: its name among the feature layers, or of the operation for a function.
    """

    layer: str
    geometry: Geometry
    size: Size
    window: Window


class Field(NamedTuple):
    """What a window of the feature map is computed from.

    pixels: of the network's input. steps: the layers, from the map back to the input.
    """

    pixels: Window
    steps: tuple[Step, ...]


class ReceptiveFields:
    """Receptive fields on the feature map of a backbone, for images of one size.

    backbone: its name. image_size: height and width of the network's input. map_size: of the
    feature map.
    """

    def __init__(self, backbone: str, image_size: Size) -> None:
        with torch.device("meta"), torch.no_grad():
            features = find_backbone(backbone).build().eval()
            self._modules = dict(features.named_modules())
            self._graph = _Tracer().trace(features)
            shapes = _Shapes(features, graph=self._graph)
            shapes.run(torch.empty(1, 3, *image_size))
        self._sizes = shapes.sizes
        self._input, *_, self._output = self._graph.nodes
        self.image_size, self.map_size = image_size, self._sizes[self._output]

    def of(self, window: Window) -> Field:
        """The receptive field of a window of the feature map."""
        needed, steps = {self._output: window}, []
        for node in reversed(self._graph.nodes):
            for source in node.all_input_nodes if node in needed else ():
                part = self._source_window(node, source, needed[node])
                needed[source] = part.joined(needed.get(source, part))
                geometry, size = self._geometry(node), self._sizes.get(source)
                if geometry is not None and size is not None and size != _ONE_CELL:
                    steps.append(Step(str(node.target), geometry, size, part))
        return Field(needed[self._input], tuple(steps))

    def _source_window(self, node: fx.Node, source: fx.Node, window: Window) -> Window:
        """The part of `source` that a window of the result of `node` is computed from."""
        if isinstance(self._modules.get(str(node.target)), nn.AdaptiveAvgPool2d):
            return Window(*map(range, self._sizes[source]))
        if self._sizes.get(source) == _ONE_CELL:  # such an average, which scales a whole map
            return Window(range(1), range(1))
        if node.target is F.interpolate and source is node.args[0]:  # to the nearest neighbour
            ratios = zip(self._sizes[source], self._sizes[node], strict=True)
            rows, columns = (
                range(part[0] * size // larger, part[-1] * size // larger + 1)
                for part, (size, larger) in zip(window, ratios, strict=True)
            )
            return Window(rows, columns)
        geometry = self._geometry(node)
        if geometry is None:
            return window
        rows, columns = map(_used, window, zip(*geometry, strict=True), self._sizes[source])
        return Window(rows, columns)

    def _geometry(self, node: fx.Node) -> Geometry | None:
        """Of a convolution or pooling layer; None for other operations."""
        layer = self._modules.get(str(node.target))
        if isinstance(layer, _LAYERS):
            values = {name: getattr(layer, name, None) for name in Geometry._fields}
        elif node.target in _FUNCTIONS:
            # The fourth argument of avg_pool2d is not a dilation.
            names = Geometry._fields if node.target is F.max_pool2d else Geometry._fields[:3]
            values = dict(zip(names, node.args[1:], strict=False)) | node.kwargs
        else:
            return None
        pairs = {
            name: _pair(values[name]) for name in Geometry._fields if values.get(name) is not None
        }
        return Geometry(**{"stride": pairs["kernel_size"]} | pairs)


def _used(outputs: range, geometry: tuple[int, ...], size: int) -> range:
    """The inputs, out of `size`, that consecutive outputs of a layer are computed from."""
    kernel, stride, padding, dilation = geometry
    start, last = outputs[0] * stride - padding, outputs[-1] * stride - padding
    return range(max(start, 0), min(last + dilation * (kernel - 1) + 1, size))


class _Tracer(fx.Tracer):
    """Records calls of modules without submodules, and of functions outside them."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not list(m.children())


class _Shapes(fx.Interpreter):
    """Records height and width of every map."""

    def __init__(self, module: nn.Module, graph: fx.Graph) -> None:
        super().__init__(module, graph=graph)
        self.sizes: dict[fx.Node, Size] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor) and result.ndim == 4:
            self.sizes[n] = (result.shape[2], result.shape[3])
        return result
