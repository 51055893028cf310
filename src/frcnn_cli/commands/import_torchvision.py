"""`frcnn import-torchvision`: convert a classification checkpoint to initial weights."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.files import write_whole


@click.command("import-torchvision")
@click.argument("file", type=options.FilePath)
@click.option(
    "--arch", show_default="from the file name", help="Network of FILE, such as resnet50."
)
@click.option(
    "--out",
    type=options.OutputFile,
    show_default="FILE with the extension .safetensors",
    help="File to write.",
)
@pass_output
def import_torchvision(output: Output, file: Path, arch: str | None, out: Path | None) -> None:
    """Convert FILE, a checkpoint of a torchvision classification network, to .safetensors.

    The weights are checked; no code in FILE is run. Train from them with
    `frcnn train --weights FILE`, which also accepts the checkpoint itself.

    \b
    frcnn import-torchvision resnet50-11ad3fa6.pth
    frcnn import-torchvision checkpoint.pth --arch mobilenet_v3_large
    """
    path = out or file.with_suffix(".safetensors")
    if path.suffix != ".safetensors":
        raise MisuseError(f"{path}: the name of the output file must end in .safetensors.")
    if not file.exists():
        raise InputError(f"{file}: file not found.")
    from safetensors.torch import save

    from frcnn_cli.engine.models.initial import read_checkpoint

    backbone, state = read_checkpoint(file, arch)
    if path.resolve() != file.resolve():
        write_whole(path, save(state))
    output.print(f"Weights of {escape(backbone.name)}: [bold]{escape(str(path))}[/]")
    output.note(f"Next: `frcnn train voc2007 --backbone {backbone.name} --weights {path}`")
