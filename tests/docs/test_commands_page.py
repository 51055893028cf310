"""The help of every command, and the page generated from it."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from documented import in_helps

from frcnn_cli.cli import cli
from frcnn_cli.commands.shared.options import LiteralDefault
from frcnn_cli.engine.models.experiment_options import FIELDS
from frcnn_cli.engine.models.presets import base_experiment
from frcnn_cli.engine.models.shipped.table import list_models
from frcnn_cli.engine.settings.fields import values_of
from frcnn_cli.reference import commands_below, reference, with_models

REPOSITORY = Path(__file__).resolve().parents[2]
EVERY = {
    path: (command, context)
    for path, command, context in commands_below(cli, click.Context(cli, info_name="frcnn"))
}
EXAMPLES = {shown.where.removesuffix(" --help") for shown in in_helps()}


def test_the_page_matches_the_commands() -> None:
    page = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
    assert page == reference(), "run `make reference`"


def test_the_page_of_models_has_the_current_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (REPOSITORY / "docs" / "models.md").read_text(encoding="utf-8")
    assert page == with_models(page), "run `make reference`"
    (voc, *_) = list_models()
    changed = replace(voc, map=12.3, card={"weaknesses": "none | known"})
    monkeypatch.setattr("frcnn_cli.reference.list_models", lambda: (changed,))
    assert re.search(r"\| `voc` \| .* \| 12\.3 \|", with_models(page))
    assert "| weaknesses | none \\| known |" in with_models(page)


@pytest.mark.parametrize("path", EVERY)
def test_help_has_examples_and_describes_every_option(path: str) -> None:
    command, _ = EVERY[path]
    assert inspect.cleandoc(command.help or "").split("\n\n")[0].endswith(".")
    assert path in EXAMPLES, "no example"
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.opts


def test_literal_defaults_of_train_are_those_of_a_default_experiment() -> None:
    command, context = EVERY["frcnn train"]
    defaults = values_of(base_experiment(None, None))
    checked = []
    for option in command.params:
        if isinstance(option, LiteralDefault) and option.name in FIELDS:
            record = option.get_help_record(context)
            assert record is not None
            assert f"[default: {defaults[FIELDS[option.name]]}]" in record[1]
            checked.append(option.name)
    names = ["val_share", "weights", "source", "sampling", "seed", "workers"]
    assert checked == [*names, "checkpoint_every"]


def test_the_main_help_lists_exit_codes_and_environment() -> None:
    output = CliRunner().invoke(cli, ["--help"]).output
    for word in ("Exit codes", "130", "FRCNN_DATA", "frcnn train voc2007"):
        assert word in output


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
def test_shell_completion(words: str, expected: set[str]) -> None:
    last = len(words.split(" ")) - 1
    variables = {"_FRCNN_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(last)}
    output = CliRunner().invoke(cli, [], prog_name="frcnn", env=variables).output
    assert {line.split(",", 1)[1] for line in output.splitlines()} == expected


def test_names_are_completed_without_torch() -> None:
    """Completion must not wait for the import of torch."""
    code = "import sys; from frcnn_cli.cli import cli\ntry: cli(prog_name='frcnn')\n" \
        "finally: print('torch' in sys.modules)"  # fmt: skip
    variables = {"_FRCNN_COMPLETE": "bash_complete", "COMP_WORDS": "frcnn ", "COMP_CWORD": "1"}
    child = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )
    assert "plain,train" in child.stdout
    assert child.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_valid(shell: str) -> None:
    script = CliRunner().invoke(cli, ["completion", shell]).output
    assert f"_FRCNN_COMPLETE={shell}_complete" in script
    if shell == "bash":
        checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
        assert checked.returncode == 0, checked.stderr
