"""`frcnn compress`: truncated SVD of fc6 and fc7, with what it gains and costs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.detection_options import check_data, split_arguments, take
from frcnn_cli.engine.compression.bounds import Bound, parse_bound, parse_sweep_ranks
from frcnn_cli.engine.models.store import find_model
from frcnn_cli.engine.settings.options import DataOptions
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.files import check_writable, refuse_to_replace, write_whole

if TYPE_CHECKING:
    from frcnn_cli.engine.models.loaded import LoadedModel
    from frcnn_cli.engine.proposals.for_dataset import DatasetProposals


@dataclass(frozen=True)
class BoundOptions:
    """How far to compress, as written on the command line."""

    svd_rank: str | None
    energy: float | None
    budget: str | None
    max_drop: float | None
    half: bool
    sweep: str | None

    def __post_init__(self) -> None:
        """Raises MisuseError unless one way is given, or --half alone."""
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

    def bound(self) -> Bound:
        """The bound to choose ranks by. Raises MisuseError for a value out of range."""
        return parse_bound(self.svd_rank, self.energy, self.budget, self.max_drop)

    def sweep_ranks(self) -> tuple[int, ...] | None:
        """The ranks of --sweep. Raises MisuseError for anything but a list of ranks."""
        return None if self.sweep is None else parse_sweep_ranks(self.sweep)

    def label(self) -> str:
        """The bound as part of a file's name: svd-256, energy-0.9, drop-0.3-half."""
        ways = {
            "svd": self.svd_rank,
            "energy": self.energy,
            "budget": self.budget,
            "drop": self.max_drop,
        }
        parts = [f"{name}-{value}" for name, value in ways.items() if value is not None]
        words = "-".join([*parts, *(["half"] if self.half else [])])
        return words.replace("=", "").replace(",", "-").replace(" ", "")


@dataclass(frozen=True)
class CompressOptions:
    """All options: what to compress, how far, and on which images to measure mAP."""

    model: Path | None
    way: BoundOptions
    data: DataOptions
    plot: Path
    out: Path | None
    runs_root: Path
    device: str
    json_path: Path | None


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
def compress(output: Output, /, model: str | None, dataset: str | None, **given: Any) -> None:
    """Compress MODEL, by default the newest run's; with DATASET, measure mAP before and after.

    Say how far by one of --svd-rank, --energy, --budget and --max-drop, or measure a --sweep.
    With one rank for all layers, a layer that it would not make smaller is left alone.

    \b
    frcnn compress --svd-rank 256
    frcnn compress runs/voc2007-vgg16 voc2007 --svd-rank fc6=1024,fc7=256
    frcnn compress --max-drop 0.3 --half
    frcnn compress --sweep 64,128,256,512 voc2007
    """
    way = take(BoundOptions, given)
    bound, ranks = way.bound(), way.sweep_ranks()
    path, name = split_arguments(model, dataset)
    chosen = CompressOptions(path, way, take(DataOptions, given, dataset=name), **given)
    source = find_model(path, chosen.runs_root)
    target = chosen.out or source.with_name(f"{source.stem}-{way.label()}.safetensors")
    _check(chosen, source, target)
    from frcnn_cli.commands.compress import tables
    from frcnn_cli.engine.compression.choose import compress_model
    from frcnn_cli.engine.compression.sweep import sweep_plot, sweep_ranks
    from frcnn_cli.engine.distributed.devices import find_device
    from frcnn_cli.engine.models.loaded import open_model

    loaded = open_model(source, chosen.runs_root, find_device(chosen.device), reporter=output)
    images = _open_images(output, loaded, bound, chosen)
    if ranks is not None:
        assert images is not None
        sweep = sweep_ranks(loaded, ranks, images, way.half, output)
        output.print(tables.sweep_table(sweep))
        write_whole(chosen.plot, sweep_plot(sweep))
        output.print(f"Plot: [bold]{escape(str(chosen.plot))}[/]")
        values = tables.sweep_to_json(sweep)
    else:
        compressed = compress_model(loaded, bound, target, images, way.half, output)
        if compressed.compression.layers:
            output.print(tables.layer_table(compressed.compression.layers))
        output.print(tables.compression_table(compressed))
        output.print(f"Compressed model: [bold]{escape(str(target))}[/]")
        values = tables.compression_to_json(compressed)
    if chosen.json_path is not None:
        write_json(chosen.json_path, values)
        output.note(f"Results: {chosen.json_path}")


def _check(chosen: CompressOptions, source: Path, target: Path) -> None:
    """Raise for missing or unwritable files, before anything slow is imported."""
    check_data(chosen.data)
    if chosen.out is not None:
        refuse_to_replace(source, target)
    check_writable(target if chosen.way.sweep is None else chosen.plot)


def _open_images(
    output: Output, loaded: LoadedModel, bound: Bound, chosen: CompressOptions
) -> DatasetProposals | None:
    """The images to measure mAP on; None to measure only costs."""
    from frcnn_cli.engine.evaluation.images import open_images, open_unseen_images

    if bound.max_drop is not None:
        return open_unseen_images(loaded, chosen.data, output)
    if chosen.data.dataset is not None or chosen.way.sweep is not None:
        return open_images(loaded, chosen.data, reporter=output)
    return None
