"""The command group `frcnn`, which turns errors into messages and exit codes."""

from __future__ import annotations

import os
import signal
from typing import Any, NoReturn

import click

from frcnn_cli import __version__
from frcnn_cli.commands.shared.closed_streams import replace_closed_streams
from frcnn_cli.commands.shared.console import SILENT, Output
from frcnn_cli.commands.shared.interrupt import end_soon_after_stop_signal, leave_at_once
from frcnn_cli.commands.shared.lazy_group import LazyGroup
from frcnn_cli.commands.shared.safe_text import message, print_in_any_encoding
from frcnn_cli.engine.distributed.interrupt import StopRequest
from frcnn_cli.engine.distributed.signals import (
    INTERRUPTED,
    handle_stop_signals,
    print_interrupted,
)
from frcnn_proposals.errors import Error, InvalidValueError, machine_errors
from frcnn_proposals.suggestions import suggest

COMMANDS = {
    "propose": ("propose:propose", "Compute proposals for every image, and store them."),
    "train": ("train.command:train", "Train a detector on a dataset."),
    "runs": ("runs:runs", "List training runs: settings, progress, mAP, size."),
    "eval": (
        "evaluate.command:eval",
        "Evaluate a model or a file of detections on a dataset.",
    ),
    "report": ("report:report", "Write a report on one detector, or on two side by side."),
    "detect": ("detect.command:detect", "Detect objects in images and videos."),
    "explain": (
        "explain:explain",
        "Write a page that walks through the detection in one image, step by step.",
    ),
    "features": ("features:features", "Write the features of boxes to a file."),
    "compress": (
        "compress.command:compress",
        "Compress a model by truncated SVD: smaller and faster.",
    ),
    "model": ("model.group:model", "List named models; show the layers of a model or a backbone."),
    "proposals": (
        "proposals.group:proposals",
        "Inspect, convert, evaluate, merge and draw proposal files.",
    ),
    "data": ("data.group:data", "Download, generate, list, check and export datasets."),
    "doctor": (
        "doctor:doctor",
        "Check that this machine is ready, and print the fix for each problem.",
    ),
    "export": ("export:export", "Export a model to ONNX or to torch.export."),
    "import-caffe": (
        "import_caffe:import_caffe",
        "Import a model of the first fast-rcnn, or ImageNet weights from Caffe.",
    ),
    "import-torchvision": (
        "import_torchvision:import_torchvision",
        "Import ImageNet weights from a torchvision checkpoint.",
    ),
    "config": ("config:config", "Show the effective settings and their sources."),
    "completion": (
        "completion:completion",
        "Print a script for shell completion of commands and options.",
    ),
    "bench": ("bench.group:bench", "Time this toolkit against its alternatives."),
}
EXIT_CODES = {
    "0": "Success.",
    "1": "The work failed because of a file, a dataset or the machine.",
    "2": "The request is invalid or not supported.",
    "130": "Interrupted by Ctrl-C, SIGTERM or SIGHUP; completed work is kept.",
}
ENVIRONMENT = {
    "FRCNN_DATA": "Folder of the datasets, searched after --data-root and before ./data.",
    "FRCNN_CACHE": "Folder of computed proposals and unfinished work. [default: ~/.cache/frcnn]",
    "FRCNN_FONT": "Font file for class names outside ASCII in images and plots.",
    "FRCNN_DEBUG": "If 1, RoI pooling checks its RoIs on a GPU, as it always does on a CPU.",
}


class Failure(click.ClickException):
    """A message for the user, with an exit code."""

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
            with machine_errors():
                return super().invoke(ctx)
        except InvalidValueError:  # a fault of the program
            raise
        except Error as error:
            raise Failure(str(error), error.exit_code) from error
        except click.UsageError as error:
            if _is_first_process():
                raise _with_suggestion(error) from error
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            print_interrupted()
            ctx.exit(INTERRUPTED)


def _with_suggestion(error: click.UsageError) -> click.UsageError:
    """The error; for an unknown option, one that suggests an option, argument or setting."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return error
    name, command = error.option_name, error.ctx.command
    root, path = error.ctx.find_root(), error.ctx.command_path
    if name in [option for parameter in root.command.params for option in parameter.opts]:
        line = f"{root.command_path} {name}{path.removeprefix(root.command_path)}"
        return click.UsageError(f"Write '{name}' before the command: `{line}`.", error.ctx)
    known = [option for parameter in command.params for option in parameter.opts]
    arguments = [p.human_readable_name for p in command.params if isinstance(p, click.Argument)]
    names = [*(option for option in known if option[0] == "-"), *arguments]
    found = suggest(name, names, cutoff=1.0)
    if found is None and "--set" in names and (setting := _setting(name)):
        found = f"--set {setting}=VALUE"
    found = found or suggest(name, names)
    hint = f"Did you mean '{found}'?" if found else f"`{path} --help` lists them."
    if found in arguments:
        hint = f"Give {found} as an argument, without '{name}'."
    return click.UsageError(f"No such option '{name}'. {hint}", error.ctx)


def _setting(name: str) -> str | None:
    from frcnn_cli.engine.settings import Experiment
    from frcnn_cli.engine.settings.overrides import setting_named

    return setting_named(name, Experiment())


@click.group(
    cls=CommandGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="frcnn")
@click.option("-v", "--verbose", count=True, help="Print more details.")
@click.option("-q", "--quiet", is_flag=True, help="Print results and warnings only.")
@click.pass_context
def cli(ctx: click.Context, verbose: int, quiet: bool) -> None:
    """Fast R-CNN with proposals from any source.

    \b
    frcnn propose images/          compute proposals for every image
    frcnn train voc2007            train a detector
    frcnn eval                     score the newest run on its test split
    frcnn detect img.jpg --viz     detect objects, and draw them
    frcnn compress --svd-rank 256  a smaller, faster model
    """
    _check_current_folder()
    ctx.obj = Output(verbosity=-1 if quiet else verbose) if _is_first_process() else SILENT


def _check_current_folder() -> None:
    """Raises Error if the current folder was deleted: libraries fail in it, unclearly."""
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise Error(
            "The current folder has been deleted. Change to a folder that exists."
        ) from error


def _is_first_process() -> bool:
    """Whether this is the only process, or the first one that torchrun started.

    Only that process prints.
    """
    return os.environ.get("RANK", "0") == "0" or "TORCHELASTIC_RUN_ID" not in os.environ


def _leave(*_: object) -> NoReturn:
    print_interrupted()
    leave_at_once(INTERRUPTED)


def main() -> None:
    """Run the command line. `frcnn_cli.__main__` has the entry point `frcnn`."""
    stop = StopRequest()
    try:
        _run(stop)
    except InvalidValueError:
        raise
    except Error as error:
        Failure(str(error), error.exit_code).show()
        leave_at_once(error.exit_code)
    except KeyboardInterrupt:
        _leave()
    except SystemExit as end:
        # Libraries turn some interrupts into errors of their own; Click does so with a second one.
        if end.code == INTERRUPTED or stop.made:
            leave_at_once(INTERRUPTED)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        # The work has ended: a signal does not change its exit code.
        handle_stop_signals(lambda *_: leave_at_once(code))
        raise


def _run(stop: StopRequest) -> None:
    def interrupt(number: int, _: object) -> None:
        stop.made = True
        if number == signal.SIGHUP:  # a closed terminal and its shell both send it
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        raise KeyboardInterrupt

    try:
        # All of them end a command as Ctrl-C does: files are closed and workers stopped.
        handle_stop_signals(interrupt)
        replace_closed_streams()
        print_in_any_encoding()
        # Waiting threads should sleep: spinning threads take the cores from the workers and from
        # other programs on a small machine. OpenMP reads this when torch is imported.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        end_soon_after_stop_signal(INTERRUPTED)
        with machine_errors():  # of help texts, which are printed before a command runs
            cli(prog_name="frcnn")
    finally:
        # While Python ends, an interrupt would be printed with its traceback.
        handle_stop_signals(_leave)


if __name__ == "__main__":
    main()
