"""The source `ranked`: boxes of another source, in the order of a detector's ranker.

setup.cfg registers it in the entry-point group of other packages' sources, because frcnn_proposals
does not import the engine. This module does not import torch, so that sources are listed quickly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frcnn_cli.engine.models.file import read_architecture
from frcnn_cli.engine.models.store import RUNS, find_model
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.sources.call import call_source
from frcnn_proposals.sources.registry import DEFAULT_SOURCE, make_source

if TYPE_CHECKING:
    from frcnn_cli.engine.network.model import FastRCNN
    from frcnn_cli.engine.settings import DetectSettings


class RankedSource:
    """Boxes of another source, ordered by a detector that was trained with --variant ranked.

    model: its file, or a run by its folder or by its name in RUNS. source: name of the other
        source. parameters: of the other source, as a dictionary.
    Scores are the estimated IoU with an object. Raises InputError or MisuseError if the model
    cannot be read or has no ranker, and for an unknown source or parameter.
    """

    name = "ranked"

    def __init__(
        self,
        model: str | Path,
        source: str = DEFAULT_SOURCE,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = find_model(Path(model), RUNS)
        if not read_architecture(self.path).ranker:
            raise MisuseError(
                f"{self.path}: this model has no ranker. Use one trained with --variant ranked."
            )
        if parameters is not None and not isinstance(parameters, Mapping):
            raise MisuseError(
                f"source 'ranked': parameters must be those of {source} as JSON, such as "
                f'{{"mode": "quality"}}, not {parameters!r}'
            )
        self.source = make_source(source, **dict(parameters or {}))
        with open(self.path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.version = f"1 {digest[:16]} {self.source.version}"

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {
            "model": self.path.name,
            "source": self.source.name,
            "parameters": dict(self.source.parameters),
        }

    def propose(self, image: Image) -> Proposals:
        """The boxes of an RGB image (H, W, 3) uint8, best first, with scores."""
        return self.reorder(call_source(self.source, "", image), image)

    def reorder(self, proposals: Proposals, image: Image) -> Proposals:
        """The given boxes of an image, best first, with scores."""
        from frcnn_cli.engine.detection.views import rank_proposals

        if len(proposals) == 0:
            return proposals
        model, settings = self._network
        return rank_proposals(model, image, proposals.boxes, settings)

    @cached_property
    def _network(self) -> tuple[FastRCNN, DetectSettings]:
        """The model, prepared for detection, and its settings; read at the first image."""
        from frcnn_cli.engine.detection.prepare import prepare_model
        from frcnn_cli.engine.models.provenance import stored_experiment
        from frcnn_cli.engine.models.store import load_model

        model, origin = load_model(self.path)
        return prepare_model(model), stored_experiment(origin, model.architecture).detect

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("path", "source", "version")}
