"""`frcnn import-torchvision`: a classification checkpoint as weights to train from."""

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
@click.option("--arch", help="The network it is, as resnet50. Default: as the file's name says.")
@click.option("--out", type=options.FilePath, help="Default: FILE, ending in .safetensors.")
@pass_output
def import_torchvision(output: Output, file: Path, arch: str | None, out: Path | None) -> None:
    """Check FILE, a checkpoint of one of torchvision's classification networks, and keep it as
    .safetensors to train from.

    Nothing in FILE is run. `frcnn train --weights FILE` takes such a checkpoint directly, too.

    \b
    frcnn import-torchvision resnet50-11ad3fa6.pth
    frcnn import-torchvision checkpoint.pth --arch mobilenet_v3_large
    """
    path = out or file.with_suffix(".safetensors")
    if path.suffix != ".safetensors":
        raise MisuseError(f"{path}: --out should end in .safetensors, which is what is written.")
    if not file.exists():
        raise InputError(f"{file}: there is no such file of weights.")
    from safetensors.torch import save

    from frcnn_cli.engine.models.initial import read_checkpoint

    backbone, state = read_checkpoint(file, arch)
    if path.resolve() != file.resolve():
        write_whole(path, save(state))
    output.print(f"Weights of {escape(backbone.name)}: [bold]{escape(str(path))}[/]")
    output.note(
        f"Next: `frcnn train voc2007 --backbone {backbone.name} --weights {path}` starts there."
    )
