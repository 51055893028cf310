"""`frcnn import-caffe`: a .caffemodel as a model of this toolkit, or as weights to train from."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_cli.engine.exchange.caffe_file import NETWORKS
from frcnn_cli.engine.settings import Experiment
from frcnn_cli.engine.settings.fields import nested
from frcnn_cli.engine.settings.network import Architecture
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.files import write_whole
from frcnn_proposals.reading import read_text


@click.command("import-caffe")
@click.argument("file", type=options.FilePath)
@click.option("--arch", type=click.Choice(NETWORKS), required=True, help="The network it is.")
@click.option(
    "--classes",
    metavar="NAMES",
    help="Class names without background, as cat,dog, or a text file with one a line. "
    "Default: VOC's 20.",
)
@click.option("--out", type=options.FilePath, help="Default: FILE, ending in .safetensors.")
@pass_output
def import_caffe(
    output: Output, file: Path, arch: str, classes: str | None, out: Path | None
) -> None:
    """Read FILE, a .caffemodel of the first implementation or an ImageNet network.

    A detector (it has cls_score) becomes a model, compressed where the file is (fc6_L, fc6_U);
    an ImageNet network becomes weights to train from.

    \b
    frcnn import-caffe vgg16_fast_rcnn_iter_40000.caffemodel --arch vgg16
    frcnn import-caffe VGG16.v2.caffemodel --arch vgg16 --out vgg16-imagenet.safetensors
    """
    path = out or file.with_suffix(".safetensors")
    if path.suffix != ".safetensors":
        raise MisuseError(f"{path}: --out should end in .safetensors, which is what is written.")
    if not file.exists():
        raise InputError(f"{file}: there is no such file.")
    names = None if classes is None else _names(classes)
    from safetensors.torch import save

    from frcnn_cli.engine.exchange.caffe_import import import_caffe_model
    from frcnn_cli.engine.models.store import save_model

    imported = import_caffe_model(file, arch, names)
    for name in imported.ignored:
        output.note(f"Left out: {name}, ImageNet's own classes.")
    shown = escape(str(path))
    if imported.model is None:
        write_whole(path, save(imported.weights))
        output.print(f"Weights of {arch}: [bold]{shown}[/]")
        output.note(f"Next: `frcnn train voc2007 --backbone {arch} --weights {path}` starts there.")
        return
    model = imported.model.architecture
    experiment = Experiment(backbone=model.backbone, preprocessing=model.preprocessing)
    origin = {"experiment": nested(experiment), "imported_from": str(file)}
    save_model(imported.model, path, origin)
    output.print(f"Model: [bold]{shown}[/]")
    _describe(output, model)
    output.note(
        f"Next: `frcnn detect IMAGE --model {path}` uses it, `frcnn eval {path} voc2007` scores it."
    )


def _names(given: str) -> tuple[str, ...]:
    """Names out of a file, where there is one of that name, or separated by commas."""
    path = Path(given)
    if not path.is_file():
        return tuple(name.strip() for name in given.split(","))
    try:
        return tuple(line.strip() for line in read_text(path).splitlines() if line.strip())
    except UnicodeDecodeError as error:
        raise MisuseError(f"{path}: this is no text file of class names.") from error


def _describe(output: Output, architecture: Architecture) -> None:
    ranks = ", ".join(f"{name} {rank}" for name, rank in architecture.ranks.items())
    output.note(f"{len(architecture.classes)} classes: {', '.join(architecture.classes)}")
    output.note(
        f"fc6 and fc7: {architecture.hidden[0]} and {architecture.hidden[1]} outputs, "
        + (f"ranks {ranks}" if ranks else "full")
    )
    if not architecture.box_regression:
        output.warn("It has no bbox_pred: each detection is its proposal.")
