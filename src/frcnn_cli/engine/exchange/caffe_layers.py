"""The layers of a Caffe file, taken out one by one in the shapes that a network has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from frcnn_cli.engine.exchange.caffe_file import Array
from frcnn_proposals.errors import InputError

NETWORKS = ("vgg16", "vgg_cnn_m_1024", "caffenet")
_CLASSIFIER = "fc8"  # ImageNet's own last layer, under this name or one that begins with it


class CaffeLayers:
    """Layers of the file `path`, which should be `network`, by name; messages name both."""

    def __init__(self, path: Path, network: str, arrays: dict[str, list[Array]]) -> None:
        self.path, self.network, self.arrays = path, network, arrays
        self.taken: set[str] = set()

    def fully_connected(self, name: str, inputs: int) -> dict[str, Tensor]:
        """fc6 or fc7 under this toolkit's names, in two parts where the file has NAME_L, NAME_U."""
        first, second = f"{name}_L", f"{name}_U"
        if first not in self.arrays:
            return self.take(name, (None, inputs))
        thin = self.take(first, (None, inputs), bias=False)[f"{first}.weight"]
        wide = self.take(second, (None, len(thin)))
        return {
            f"{name}.first.weight": thin,
            f"{name}.second.weight": wide[f"{second}.weight"],
            f"{name}.second.bias": wide[f"{second}.bias"],
        }

    def take(
        self, name: str, shape: tuple[int | None, ...], bias: bool = True
    ) -> dict[str, Tensor]:
        """A layer's weight and bias. shape: the weight's; None where any number will do."""
        if name not in self.arrays:
            some = ", ".join(list(self.arrays)[:4])
            raise self._unfit(f"it has no layer {name} (it has {some} ...)")
        arrays = self.arrays[name]
        if len(arrays) != 1 + bias:
            raise self._unfit(f"layer {name} has {len(arrays)} arrays, not {1 + bias}")
        self.taken.add(name)
        weight = self._tensor(name, arrays[0], shape)
        tensors = {f"{name}.weight": weight}
        if bias:
            tensors[f"{name}.bias"] = self._tensor(name, arrays[1], (len(weight),))
        return tensors

    def unused(self) -> tuple[str, ...]:
        """Layers that were not taken. Raises InputError unless they are ImageNet's classifier."""
        left = tuple(name for name in self.arrays if name not in self.taken)
        strange = [name for name in left if not name.startswith(_CLASSIFIER)]
        if strange:
            raise self._unfit(f"its layer {strange[0]} has no place in this network")
        return left

    def _tensor(self, name: str, array: Array, shape: tuple[int | None, ...]) -> Tensor:
        """Older files put ones in front of shapes that have fewer than four dimensions."""
        sizes = array.shape
        while len(sizes) > len(shape) and sizes[0] == 1:
            sizes = sizes[1:]
        fits = len(sizes) == len(shape) and all(
            own > 0 and wanted in (None, own) for own, wanted in zip(sizes, shape, strict=True)
        )
        if not fits:
            expected = " x ".join("n" if size is None else str(size) for size in shape)
            found = " x ".join(map(str, sizes)) or "a single number"
            raise self._unfit(f"layer {name} has {found} where it needs {expected}")
        if not np.isfinite(array).all():
            raise InputError(
                f"{self.path}: layer {name} holds values that are no finite numbers.\n"
                "Training has diverged, or the file is damaged; take another one."
            )
        return torch.from_numpy(array.reshape(sizes))

    def _unfit(self, reason: str) -> InputError:
        others = " or ".join(name for name in NETWORKS if name != self.network)
        return InputError(
            f"{self.path}: this is no {self.network} that can be read: {reason}.\n"
            f"Is it another network (--arch {others})?"
        )
