"""The command group `frcnn`: finds the command, and turns errors into messages and exit codes."""

from __future__ import annotations

import errno
import os
import signal
from typing import Any

import click

from frcnn_cli import __version__
from frcnn_cli.commands.shared.console import SILENT, Output
from frcnn_cli.commands.shared.interrupt import end_soon_after_ctrl_c, leave_at_once
from frcnn_cli.commands.shared.lazy_group import LazyGroup
from frcnn_cli.commands.shared.safe_text import message
from frcnn_proposals.errors import InputError, ran_out_of_memory, reason

COMMANDS = {
    "propose": ("propose:propose", "Find boxes for every image, into a store."),
    "train": ("train.command:train", "Train a detector on a dataset."),
    "runs": ("runs:runs", "List training runs: setting, progress, mAP, size."),
    "eval": ("evaluate.command:eval", "Score a detector, or a file of detections, on a dataset."),
    "report": ("report:report", "Write a page on a detector, or on two side by side."),
    "detect": ("detect.command:detect", "Find objects in images."),
    "compress": ("compress.command:compress", "Make a model smaller and faster by truncated SVD."),
    "model": ("model:model", "Show what a model or a backbone is made of."),
    "proposals": (
        "proposals.group:proposals",
        "Inspect, convert, evaluate and draw proposal files.",
    ),
    "data": ("data.group:data", "Download, generate, list and check datasets."),
    "doctor": ("doctor:doctor", "Check that this machine is ready, and print the fixes."),
    "export": ("export:export", "Write a model as ONNX, or for torch alone."),
    "import-caffe": (
        "import_caffe:import_caffe",
        "Read a model of the first implementation, or ImageNet weights of Caffe.",
    ),
    "import-torchvision": (
        "import_torchvision:import_torchvision",
        "Check a checkpoint of torchvision's, and keep it to train from.",
    ),
    "config": ("config:config", "Show the effective settings, and where each comes from."),
    "completion": (
        "completion:completion",
        "Print what makes a shell complete frcnn's commands and options.",
    ),
    "bench": ("bench.group:bench", "Measure this toolkit against its alternatives."),
}
INTERRUPTED = 130
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM)
EXIT_CODES = {
    "0": "Done.",
    "1": "The work failed: a file, a data set or the machine is to blame.",
    "2": "The request cannot be carried out as it was made.",
    "130": "Interrupted, by Ctrl-C or SIGTERM; what is done is kept.",
}
ENVIRONMENT = {
    "FRCNN_DATA": "Folder of the data sets, after --data-root. Otherwise ./data.",
    "FRCNN_CACHE": "Folder of computed proposals and unfinished work. Otherwise ~/.cache/frcnn.",
    "FRCNN_DEBUG": "1 has RoI pooling on a GPU report RoIs that are not finite or of no image.",
}


class Failure(click.ClickException):
    """A message for the user and the exit code that goes with it."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(message(text))
        self.exit_code = exit_code  # type: ignore[misc]


class CommandGroup(LazyGroup):
    """The toolkit's commands; turns errors into messages and exit codes."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_commands(ctx, formatter)
        with formatter.section("Environment"):
            formatter.write_dl(list(ENVIRONMENT.items()))
        with formatter.section("Exit codes"):
            formatter.write_dl(list(EXIT_CODES.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            raise Failure(str(error), error.exit_code) from error
        except click.UsageError as error:
            if _speaks():
                raise
            ctx.exit(error.exit_code)
        except OSError as error:
            if error.filename is None and error.errno not in _NO_ROOM:
                raise
            where = f"{error.filename}: " if error.filename else ""
            raise Failure(f"{where}{error.strerror}.", 1) from error
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)
        except Exception as error:
            if not ran_out_of_memory(error):
                raise
            raise Failure(
                f"Memory ran out ({reason(error)}).\n"
                "Smaller images, lower scales or fewer at once need less.",
                1,
            ) from error


@click.group(
    cls=CommandGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="frcnn")
@click.option("-v", "--verbose", count=True, help="Say more about what is done.")
@click.option("-q", "--quiet", is_flag=True, help="Print results and warnings only.")
@click.pass_context
def cli(ctx: click.Context, verbose: int, quiet: bool) -> None:
    """Fast R-CNN, with proposals from anywhere.

    \b
    frcnn propose images/          boxes for every image, into a store
    frcnn train voc2007            train a detector
    frcnn eval                     score the newest run on its test split
    frcnn detect img.jpg --viz     boxes, scores, classes, and a picture
    frcnn compress --svd-rank 256  a smaller, faster model
    """
    ctx.obj = Output(verbosity=-1 if quiet else verbose) if _speaks() else SILENT


def _speaks() -> bool:
    """Of the processes that torchrun starts the first alone speaks."""
    return os.environ.get("RANK", "0") == "0" or "TORCHELASTIC_RUN_ID" not in os.environ


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """The entry point `frcnn`."""
    # Threads that wait for one another sleep: spinning starves the workers and whatever else
    # runs on a small machine. It has to be said before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # A polite request to stop ends as Ctrl-C does: files closed, workers gone.
    signal.signal(signal.SIGTERM, _interrupt)
    end_soon_after_ctrl_c(INTERRUPTED)
    try:
        cli(prog_name="frcnn")
    except KeyboardInterrupt:
        leave_at_once(INTERRUPTED)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            leave_at_once(INTERRUPTED)
        raise


if __name__ == "__main__":
    main()
