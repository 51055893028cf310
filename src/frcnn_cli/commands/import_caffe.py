"""`frcnn import-caffe`: convert a .caffemodel to a model, or to initial weights."""

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
from frcnn_proposals.files import check_writable, write_whole
from frcnn_proposals.reading import text_lines
from frcnn_proposals.wording import counted


@click.command("import-caffe")
@click.argument("file", type=options.FilePath)
@click.option("--arch", type=click.Choice(NETWORKS), required=True, help="Network of FILE.")
@click.option(
    "--classes",
    metavar="NAMES",
    show_default="the 20 classes of VOC",
    help="Class names without background: cat,dog or a text file with one name per line.",
)
@click.option(
    "--out",
    type=options.OutputFile,
    show_default="FILE with the extension .safetensors",
    help="File to write.",
)
@pass_output
def import_caffe(
    output: Output, file: Path, arch: str, classes: str | None, out: Path | None
) -> None:
    """Convert FILE, a .caffemodel, to .safetensors.

    FILE is a detector of the first Fast R-CNN implementation or an ImageNet network. A detector
    (a file with cls_score) is converted to a model; a compressed one (fc6_L, fc6_U) stays
    compressed. An ImageNet network is converted to initial weights.

    \b
    frcnn import-caffe vgg16_fast_rcnn_iter_40000.caffemodel --arch vgg16
    frcnn import-caffe VGG16.v2.caffemodel --arch vgg16 --out vgg16-imagenet.safetensors
    """
    path = out or file.with_suffix(".safetensors")
    if path.suffix != ".safetensors":
        raise MisuseError(f"{path}: the name of the output file must end in .safetensors.")
    if not file.exists():
        raise InputError(f"{file}: file not found.")
    check_writable(path)
    names = None if classes is None else _names(classes)
    from safetensors.torch import save

    from frcnn_cli.engine.exchange.caffe_import import import_caffe_model
    from frcnn_cli.engine.models.store import save_model

    imported = import_caffe_model(file, arch, names)
    for name in imported.ignored:
        output.note(f"Skipped layer {name}: it scores the ImageNet classes.")
    markup = escape(str(path))
    if imported.model is None:
        write_whole(path, save(imported.weights))
        output.print(f"Weights of {arch}: [bold]{markup}[/]")
        output.note(f"Next: `frcnn train voc2007 --backbone {arch} --weights {path}`")
        return
    model = imported.model.architecture
    experiment = Experiment(backbone=model.backbone, preprocessing=model.preprocessing)
    origin = {"experiment": nested(experiment), "imported_from": str(file)}
    save_model(imported.model, path, origin)
    output.print(f"Model: [bold]{markup}[/]")
    _describe(output, model)
    output.note(
        f"Next: detect with `frcnn detect IMAGE --model {path}`, or evaluate it with "
        f"`frcnn eval {path} voc2007`"
    )


def _names(given: str) -> tuple[str, ...]:
    """Class names from the file `given`, if it exists, or else separated by commas."""
    path = Path(given)
    if not path.is_file():
        return tuple(name.strip() for name in given.split(","))
    try:
        return tuple(line for line in map(str.strip, text_lines(path)) if line)
    except UnicodeDecodeError as error:
        raise MisuseError(f"{path}: not a text file of class names.") from error


def _describe(output: Output, architecture: Architecture) -> None:
    ranks = ", ".join(f"{name} {rank}" for name, rank in architecture.ranks.items())
    classes = architecture.classes
    output.note(f"{counted(len(classes), 'class', 'classes')}: {', '.join(classes)}")
    output.note(
        f"fc6 and fc7: {architecture.hidden[0]} and {architecture.hidden[1]} outputs, "
        + (f"ranks {ranks}" if ranks else "full")
    )
    if not architecture.box_regression:
        output.warn(
            "The file has no layer bbox_pred: detections keep the boxes of their proposals."
        )
