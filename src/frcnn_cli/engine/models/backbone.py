"""Open a backbone with its ImageNet weights, as a network without a detector's classes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from frcnn_cli.engine.distributed.connect import connected, own_device
from frcnn_cli.engine.distributed.devices import choose_precision
from frcnn_cli.engine.distributed.team import Team, team_from_environment
from frcnn_cli.engine.models.loaded import LoadedModel, model_in_team
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.backbones.weights import load_pretrained
from frcnn_cli.engine.network.creation import create_model
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import Experiment, PrecisionChoice
from frcnn_proposals.errors import MisuseError


@dataclass(frozen=True)
class LoadedBackbone(LoadedModel):
    """A backbone on its device. Its sibling layers are random; path: its name."""

    @property
    def is_detector(self) -> bool:
        return False

    def digest(self) -> str:
        """SHA-256 of the name and the weights of the layers that are used."""
        found = hashlib.sha256(str(self.path).encode())
        for name, tensor in self.model.state_dict().items():
            if not name.startswith(("score.", "box.")):
                found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()


def open_backbone(
    name: str,
    device: torch.device,
    weights: str = "imagenet",
    precision: PrecisionChoice = "auto",
    needs_fc: bool = False,
    reporter: Reporter = SILENT,
) -> LoadedBackbone:
    """Open a backbone by its name, such as `torchvision:resnet50`.

    weights: `imagenet`, `none` (random, with a fixed seed), or a file of ImageNet weights.
    needs_fc: whether fc6 or fc7 will be read. Raises MisuseError for an unknown name, and if
    layers that are needed have no ImageNet weights; InputError if weights cannot be read.
    """
    backbone = find_backbone(name)
    is_random, file = weights == "none", None if weights in ("imagenet", "none") else Path(weights)
    if backbone.new_layers and not is_random:
        raise MisuseError(
            f"{name} has layers without ImageNet weights, so its features need training.\n"
            "Use another backbone, such as vgg16 or torchvision:resnet50."
        )
    if needs_fc and not is_random and not load_pretrained(backbone, file).head:
        raise MisuseError(
            f"{name} has no ImageNet weights for fc6 and fc7. Use --layer pooled, or a network "
            "with these layers, such as vgg16."
        )
    model = create_model(backbone, ("object",), weights).eval()
    experiment = Experiment(
        backbone=name,
        preprocessing=model.architecture.preprocessing,
        detect=backbone.defaults.detect,
    )
    asked = experiment.detect.precision if precision == "auto" else precision
    chosen = choose_precision(asked, device, backbone.defaults.bfloat16)
    reporter.note(f"Backbone: {name}" + (", in bfloat16" if chosen == "bfloat16" else ""))
    return LoadedBackbone(model.to(device), Path(name), {}, experiment, chosen)


@contextmanager
def network_in_team(
    model: Path | None,
    backbone: str | None,
    runs_root: Path,
    device: str,
    weights: str | None = None,
    precision: PrecisionChoice = "auto",
    needs_fc: bool = False,
    reporter: Reporter = SILENT,
) -> Iterator[tuple[LoadedModel, Team]]:
    """Run `open_model`, or `open_backbone` if one is given, in all processes of torchrun.

    They stay connected within the block. weights, needs_fc: of the backbone.
    """
    if backbone is None:
        with model_in_team(model, runs_root, device, precision, reporter) as opened:
            yield opened
        return
    team = team_from_environment()
    with connected(team, device):
        own = own_device(team, device)
        given = weights or "imagenet"
        yield open_backbone(backbone, own, given, precision, needs_fc, reporter), team
