"""The script of the paper's comparisons, run with a command that only records its arguments."""

import itertools
import os
import subprocess
from pathlib import Path

import pytest
from documented import REPOSITORY, error_of

from frcnn_cli.engine.models.presets import base_experiment, variant_changes

SCRIPT = REPOSITORY / "docs" / "results" / "comparisons.sh"
TARGETS = ("results-quick", "results", "results-others")
# Writes the file or run that the command would write.
PEN = """#!/bin/sh
printf '%s\\0' "$@" >> {given}; echo >> {given}
command=$1
while test $# -gt 0; do
	case $1 in
	--out | --resume)
		case $command in
		train) mkdir -p "$2"; : > "$2/model.safetensors" ;;
		*) : > "$2" ;;
		esac ;;
	--json) : > "$2" ;;
	esac
	shift
done
"""

Commands = list[tuple[str, ...]]


def run(folder: Path, target: str) -> Commands:
    """The commands that the script calls, with its results in `folder`."""
    given, pen, python = folder / "given", folder / "frcnn", folder / "python"
    given.write_text("")
    pen.write_text(PEN.format(given=given))
    python.write_text('#!/bin/sh\n: > "$3"\n')  # of mixed.py STORE OUT
    for program in (pen, python):
        program.chmod(0o755)
    subprocess.run(
        ["bash", SCRIPT, target, folder / "results"],
        env={**os.environ, "FRCNN": str(pen)}, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return [tuple(line.split("\0")[:-1]) for line in given.read_text().splitlines()]


def values(words: tuple[str, ...], option: str) -> list[str]:
    return [value for name, value in itertools.pairwise(words) if name == option]


@pytest.mark.parametrize("target", TARGETS)
def test_the_commands_are_valid(target: str, tmp_path: Path) -> None:
    commands = run(tmp_path, target)
    assert commands
    assert [words for words in commands if error_of(words)] == []


@pytest.mark.parametrize("target", TARGETS)
def test_no_setting_replaces_one_of_a_variant(target: str, tmp_path: Path) -> None:
    """--set is stronger than --variant: a run with both would not be what its name says."""
    for words in run(tmp_path, target):
        variants = values(words, "--variant")
        base = base_experiment(None, "efficientnet_lite0")
        changed = {change.path for change in variant_changes(base, variants)}
        given = {setting.partition("=")[0] for setting in values(words, "--set")}
        assert given & changed == set(), words


@pytest.mark.parametrize("target", TARGETS)
def test_a_second_call_repeats_nothing(target: str, tmp_path: Path) -> None:
    run(tmp_path, target)
    assert run(tmp_path, target) == []


def test_an_interrupted_run_is_resumed(tmp_path: Path) -> None:
    run(tmp_path, "results")
    interrupted = tmp_path / "results" / "seed-1" / "fc-only"
    (interrupted / "model.safetensors").unlink()
    assert run(tmp_path, "results") == [("train", "--resume", str(interrupted))]


def test_both_seeds_have_the_same_comparisons(tmp_path: Path) -> None:
    trained = [words for words in run(tmp_path, "results") if words[0] == "train"]
    by_seed = {
        seed: [Path(*values(words, "--out")).name for words in trained
               if values(words, "--seed") == [seed]]
        for seed in ("0", "1")
    }  # fmt: skip
    assert by_seed["0"] == by_seed["1"]
    assert set(by_seed["0"]) == {"base", "fc-only", "no-bbox-reg", "svm", "multiscale"}
