"""`frcnn compress`: truncated SVD of fc6 and fc7, with what it gains and costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from frcnn_cli.commands.compress.measures import (
    find_images,
    measure_maps,
    time_in_turn,
    warn_over_budget,
)
from frcnn_cli.commands.compress.options import Asked
from frcnn_cli.commands.compress.ranks import compress_within
from frcnn_cli.commands.compress.sweep import run_sweep
from frcnn_cli.commands.compress.tables import (
    Measured,
    cost_table,
    file_rows,
    images_to_json,
    layer_table,
    trials_to_json,
)
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.detection_options import split_arguments
from frcnn_cli.engine.compression.layers import Compression
from frcnn_cli.engine.compression.sweep import parse_sweep_ranks
from frcnn_cli.engine.distributed.devices import find_device
from frcnn_cli.engine.models.loaded import LoadedModel, open_model
from frcnn_cli.engine.models.store import as_stored, is_half, save_model
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.files import check_writable, refuse_to_replace


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
@click.option("--out", type=options.OutputFile, help="Default: beside the model, named by bound.")
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
    model_path, dataset_name = split_arguments(asked.model, asked.dataset)
    loaded = open_model(model_path, asked.runs_root, find_device(asked.device), reporter=output)
    if asked.out is not None:
        refuse_to_replace(loaded.path, asked.out)
    path = asked.out or loaded.path.with_name(f"{loaded.path.stem}-{asked.label()}.safetensors")
    check_writable(path if sweep is None else asked.plot)
    half = asked.half or is_half(loaded.path)
    found = find_images(output, loaded, dataset_name, asked)
    if sweep is not None:
        assert found is not None
        run_sweep(output, loaded, sweep, found, half, asked.plot, asked.json_path)
        return
    compression, search = compress_within(output, loaded, bound, found, half)
    for name, reason in compression.left_alone.items():
        output.warn(f"{name} is left alone: {reason}.")
    if not compression.layers and not asked.half:
        raise MisuseError("No layer would get smaller, so nothing is written.")
    stored = as_stored(compression.model, half)
    costs = time_in_turn(output, (loaded.model, stored), loaded.precision)
    maps = measure_maps(output, loaded, compression.model, stored, found, search)
    before = Measured(costs[0], loaded.path.stat().st_size, *maps[:1])
    save_model(compression.model, path, _origin(loaded, compression), half=half)
    after = Measured(costs[1], path.stat().st_size, *maps[1:])
    warn_over_budget(output, bound, before, after)
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


def _origin(loaded: LoadedModel, compression: Compression) -> dict[str, Any]:
    kept = {layer.name: layer.to_json() for layer in compression.layers}
    return {**loaded.origin, "compressed_from": str(loaded.path), "compression": kept}
