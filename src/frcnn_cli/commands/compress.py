"""`frcnn compress`: truncated SVD of fc6 and fc7, with what it gains and costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from frcnn_cli.commands import options
from frcnn_cli.commands.compression_sweep import run_sweep
from frcnn_cli.commands.compression_tables import (
    Measured,
    cost_table,
    file_rows,
    images_to_json,
    layer_table,
    trials_to_json,
)
from frcnn_cli.commands.console import Output, pass_output, write_json
from frcnn_cli.commands.rank_choice import (
    Bound,
    choose_ranks,
    decompose,
    parse_bound,
    search_by_map,
)
from frcnn_cli.commands.sources import proposals_for, warn_of_some
from frcnn_cli.commands.targets import (
    LoadedModel,
    open_evaluation_split,
    open_model,
    open_unseen_split,
    split_targets,
)
from frcnn_cli.engine.compression import Compression
from frcnn_cli.engine.compression.compress import replace_layers
from frcnn_cli.engine.compression.costs import Cost, measure_costs
from frcnn_cli.engine.compression.judge import judge
from frcnn_cli.engine.compression.ranks import Choice
from frcnn_cli.engine.compression.search import Search
from frcnn_cli.engine.compression.sweep import parse_sweep_ranks
from frcnn_cli.engine.devices import find_device
from frcnn_cli.engine.model import FastRCNN
from frcnn_cli.engine.models import as_stored, is_half, save_model
from frcnn_cli.engine.proposing.of_dataset import DatasetProposals
from frcnn_proposals.errors import MisuseError

REPEATS = 5


@click.command()
@click.argument("model", required=False)
@click.argument("dataset", required=False)
@click.option(
    "--svd-rank", help="Singular values kept: one number for fc6 and fc7, or fc6=1024,fc7=256."
)
@click.option(
    "--energy", type=float, metavar="SHARE", help="Smallest ranks that keep this share, as 0.9."
)
@click.option(
    "--budget", metavar="SHARE", help="Best ranks that take this share of the time, as 0.7x."
)
@click.option(
    "--max-drop",
    type=float,
    metavar="POINTS",
    help="Smallest layers that lose at most so many points of mAP, on a split that the model "
    "did not train on.",
)
@click.option("--half", is_flag=True, help="Store weights in bfloat16, in half the bytes.")
@click.option(
    "--sweep", metavar="N,N,...", help="Measure mAP and time at each of these ranks; no model."
)
@click.option(
    "--plot",
    type=options.FilePath,
    default=Path("map-by-rank.png"),
    show_default=True,
    help="Picture that --sweep draws.",
)
@click.option("--out", type=options.FilePath, help="Default: beside the model, named by bound.")
@click.option(
    "--split", help="Split of DATASET. Default: test where annotated, else val; --max-drop: val."
)
@options.data_root
@options.proposals
@options.source
@options.runs_root
@options.device
@options.json_file
@pass_output
def compress(output: Output, /, **given: Any) -> None:
    """Compress MODEL, by default the newest run's; with DATASET, measure mAP before and after.

    Say how far by one of --svd-rank, --energy, --budget and --max-drop, or measure a --sweep.
    With one rank for all layers, a layer that it would not make smaller is left alone.

    \b
    frcnn compress --svd-rank 256
    frcnn compress runs/voc2007-vgg16 voc2007 --svd-rank fc6=1024,fc7=256
    frcnn compress --max-drop 0.3 --half
    frcnn compress --sweep 64,128,256,512 voc2007
    """
    asked = Asked(**given)
    bound = asked.bound()
    sweep = None if asked.sweep is None else parse_sweep_ranks(asked.sweep)
    model_path, dataset_name = split_targets(asked.model, asked.dataset)
    loaded = open_model(output, model_path, asked.runs_root, find_device(asked.device))
    half = asked.half or is_half(loaded.path)
    found = _find_images(output, loaded, dataset_name, asked)
    if sweep is not None:
        assert found is not None
        run_sweep(output, loaded, sweep, found, half, asked.plot, asked.json_path)
        return
    compression, search = _compress(output, loaded, bound, found, half)
    for name, reason in compression.left_alone.items():
        output.warn(f"{name} is left alone: {reason}.")
    if not compression.layers and not asked.half:
        raise MisuseError("No layer would get smaller, so nothing is written.")
    stored = as_stored(compression.model, half)
    costs = _costs(output, (loaded.model, stored))
    maps = _maps(output, loaded, compression.model, stored, found, search)
    before = Measured(costs[0], loaded.path.stat().st_size, *maps[:1])
    path = asked.out or loaded.path.with_name(f"{loaded.path.stem}-{asked.label()}.safetensors")
    save_model(compression.model, path, _origin(loaded, compression), half=half)
    after = Measured(costs[1], path.stat().st_size, *maps[1:])
    _warn_over_budget(output, bound, before, after)
    if compression.layers:
        output.print(layer_table(compression.layers))
    output.print(cost_table(before.cost, after.cost, file_rows(before, after)))
    output.print(f"Compressed model: [bold]{escape(str(path))}[/]")
    if asked.json_path is not None:
        values = {
            "model": str(loaded.path),
            "compressed": str(path),
            "bound": bound.to_json(),
            "half": half,
            "layers": {layer.name: layer.to_json() for layer in compression.layers},
            "left_alone": compression.left_alone,
            "dataset": None if found is None else images_to_json(found.dataset),
            "trials": None if search is None else trials_to_json(search),
            "before": before.to_json(),
            "after": after.to_json(),
        }
        write_json(asked.json_path, values)
        output.note(f"Results: {asked.json_path}")


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


def _find_images(
    output: Output, loaded: LoadedModel, name: str | None, asked: Asked
) -> DatasetProposals | None:
    """The images to measure mAP on, where it is to be measured, with their proposals."""
    if asked.max_drop is not None:
        judged = open_unseen_split(output, loaded, name, asked.split, asked.data_root)
    elif name is not None or asked.sweep is not None:
        judged = open_evaluation_split(output, loaded, name, asked.split, asked.data_root)
    else:
        return None
    source = asked.source or loaded.experiment.proposals.source
    return proposals_for(
        output, judged.dataset, asked.proposals, source, data_root=judged.data_root
    )


def _compress(
    output: Output, loaded: LoadedModel, bound: Bound, found: DatasetProposals | None, half: bool
) -> tuple[Compression, Search | None]:
    """The compressed model; by mAP, also what was tried."""
    model = loaded.model
    if bound.is_none:
        return replace_layers(model, {}, Choice({})), None
    layers = decompose(output, model)
    if bound.max_drop is None:
        return replace_layers(model, layers, choose_ranks(output, model, layers, bound, half)), None
    assert found is not None
    search = search_by_map(output, loaded, layers, bound.max_drop, found, half)
    return replace_layers(model, layers, search.chosen.rung.choice), search


def _costs(output: Output, models: Sequence[FastRCNN]) -> list[Cost]:
    with output.progress("Timing in turn", len(models) * (REPEATS + 1)) as advance:
        return measure_costs(models, REPEATS, lambda: advance(1, ""))


def _maps(
    output: Output,
    loaded: LoadedModel,
    compressed: FastRCNN,
    stored: FastRCNN,
    found: DatasetProposals | None,
    search: Search | None,
) -> tuple[float, ...]:
    """mAP before, after and, where storing rounds the weights, after but for that; or nothing."""
    if found is None:
        return ()
    if search is not None:
        return search.before, search.chosen.map_11point
    models = [loaded.model, stored]
    if stored is not compressed:
        models.append(compressed)
    settings = loaded.experiment.detect
    with output.progress("Detecting, before and after", len(found.dataset)) as advance:
        judged = judge(models, found.dataset, found.proposals, settings, lambda: advance(1, ""))
    warn_of_some(output, judged.unreadable)
    return judged.map_11point


def _origin(loaded: LoadedModel, compression: Compression) -> dict[str, Any]:
    kept = {layer.name: layer.to_json() for layer in compression.layers}
    return {**loaded.origin, "compressed_from": str(loaded.path), "compression": kept}


def _warn_over_budget(output: Output, bound: Bound, before: Measured, after: Measured) -> None:
    share = after.cost.times.seconds / before.cost.times.seconds
    if bound.budget is not None and share > bound.budget:
        output.warn(f"Timed again, it took {share:.2f} of the time: is the machine busy?")
