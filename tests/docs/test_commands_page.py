"""The help of every command, and the page that is made of it."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from documented import in_helps

from frcnn_cli.cli import cli
from frcnn_cli.reference import commands_below, reference

REPOSITORY = Path(__file__).resolve().parents[2]
EVERY = {
    path: (command, context)
    for path, command, context in commands_below(cli, click.Context(cli, info_name="frcnn"))
}
EXAMPLES = {shown.where.removesuffix(" --help") for shown in in_helps()}


def test_the_page_is_what_the_commands_say() -> None:
    page = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
    assert page == reference(), "run `make reference`"


@pytest.mark.parametrize("path", EVERY)
def test_help_has_examples_and_a_word_on_every_option(path: str) -> None:
    command, _ = EVERY[path]
    assert inspect.cleandoc(command.help or "").split("\n\n")[0].endswith(".")
    assert path in EXAMPLES, "no example"
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.opts


def test_the_first_help_says_exit_codes_and_environment() -> None:
    said = CliRunner().invoke(cli, ["--help"]).output
    for word in ("Exit codes", "130", "FRCNN_DATA", "frcnn train voc2007"):
        assert word in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("frcnn tr", {"train"}),
        ("frcnn import", {"import-caffe", "import-torchvision"}),
        ("frcnn completion ", {"bash", "zsh", "fish"}),
        ("frcnn data down", {"download"}),
        ("frcnn proposals con", {"convert"}),
        ("frcnn data download voc", {"voc2007", "voc2012"}),
        ("frcnn train --preset paper-", {"paper-s", "paper-m", "paper-l"}),
        ("frcnn train --it", {"--iterations"}),
        ("frcnn detect --prec", {"--precision"}),
    ],
)
def test_shells_complete(words: str, expected: set[str]) -> None:
    last = len(words.split(" ")) - 1
    asked = {"_FRCNN_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(last)}
    said = CliRunner().invoke(cli, [], prog_name="frcnn", env=asked).output
    assert {line.split(",", 1)[1] for line in said.splitlines()} == expected


def test_names_are_completed_without_torch() -> None:
    """A key press should not wait for it."""
    code = "import sys; from frcnn_cli.cli import cli\ntry: cli(prog_name='frcnn')\n" \
        "finally: print('torch' in sys.modules)"  # fmt: skip
    asked = {"_FRCNN_COMPLETE": "bash_complete", "COMP_WORDS": "frcnn ", "COMP_CWORD": "1"}
    child = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True
    )
    assert "plain,train" in child.stdout
    assert child.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_call_back(shell: str) -> None:
    said = CliRunner().invoke(cli, ["completion", shell]).output
    assert f"_FRCNN_COMPLETE={shell}_complete" in said
    if shell == "bash":
        checked = subprocess.run(["bash", "-n"], input=said, text=True, capture_output=True)
        assert checked.returncode == 0, checked.stderr
