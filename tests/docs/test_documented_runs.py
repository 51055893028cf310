"""Run the documented commands, shortened, page by page and in order."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from documented import Shown, in_blocks, in_helps, pages
from documented_home import copy_home, make_home, run, stop
from documented_output import outputs, unprinted

from frcnn_cli.engine.models.shipped.table import default_path

# Commands that are only parsed, and the reason.
NOT_RUN = {
    r"report MODEL MODEL": "a synopsis",
    r"detect 0": "needs a camera",
    r"data download": "needs the network; tests/engine/datasets/download serves itself",
    r"import-caffe|vgg16-imagenet": "needs a file of 500 MB",
    r"import-torchvision|resnet50-": "needs a file of 100 MB",
    r"bench sampling": "takes a minute at its smallest",
    r"/new/": "needs data that has moved; tests/commands/train/test_train_settings.py moves it",
    r"torchrun": "tests/commands/train/test_torchrun.py runs it",
}
if default_path() is None:
    NOT_RUN[r"model info voc$"] = "needs the model that the package does not contain yet"
# Pages and helps that take more than three seconds; pytest -m long runs them.
SLOW = (
    r"compression|detection|experiments|export|report|results|training-speed|weakly-supervised"
    r"|frcnn --help|frcnn (compress|export|report|bench (detect|models|roi-pool|train.*|video))"
    r" --help"
)


def shown() -> dict[str, list[Shown]]:
    """The commands of each page and of each help."""
    found = {page.name: in_blocks(page) for page in pages()}
    for example in in_helps():
        found.setdefault(example.where, []).append(example)
    return {name: commands for name, commands in found.items() if commands}


def reason_against(command: Shown) -> str | None:
    text = f"{'torchrun ' * command.launched}{command}"
    return next((why for what, why in NOT_RUN.items() if re.search(what, text)), None)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("documented") / "home"
    make_home(home)
    return home


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.long] if re.match(SLOW, name) else [])
        for name in shown()
    ],
)
def test_the_commands_run(name: str, prepared: Path, tmp_path: Path) -> None:
    home = copy_home(prepared, tmp_path / "home")
    if name == "README.md":  # It begins with nothing trained.
        shutil.rmtree(home / "runs")
    printed = {}
    for command in shown()[name]:
        if reason_against(command) is not None:
            continue
        if "--resume" in command.words:
            stop(home)
        result = run(home, command.words)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        # What `doctor` finds wrong is this machine's: a disk that is nearly full.
        fine = (0, 1) if command.words[0] == "doctor" else (0,)
        assert result.exit_code in fine, f"{command}\n{result.output}"
        printed[command.words] = result.output
    for page in pages():
        for words, lines in outputs(page) if page.name == name else ():
            assert unprinted(lines, printed[words]) == [], words


def test_documented_outputs_are_compared() -> None:
    output = "Model: a\n┃ class ┃ score ┃\n│ dog │ 0.9 │\n3 images"
    assert unprinted(["5 images", "│ dog │ 1.0 │", "Model: a"], output) == []
    wrong = ["5 photos", "│ doggy │ 0.9 │", "Model: b"]
    assert unprinted(wrong, output) == wrong
    assert sum(len(list(outputs(page))) for page in pages()) >= 6


def test_commands_that_are_not_run_are_still_documented() -> None:
    every = [command for commands in shown().values() for command in commands]
    assert {reason_against(command) for command in every} - {None} == set(NOT_RUN.values())
