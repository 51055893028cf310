"""The suffix of a figure decides its format; another suffix is an error before the work."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from frcnn_cli.cli import cli

# Each would fail for its missing inputs, were the suffix not checked first.
COMMANDS = {
    "recall": ("proposals", "recall", "none.proposals", "--dataset", "none", "--plot"),
    "eval": ("eval", "none", "none", "--sweep", "proposals=10", "--plot"),
    "compress": ("compress", "none", "none", "--sweep", "8", "--plot"),
    "draw": ("proposals", "draw", "none.proposals", "1", "--out"),
}
KNOWN = {"recall": "png pdf svg", "eval": "PDF", "compress": "svg", "draw": "png jpg JPEG"}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("file", ["plot.gif", "plot", "png", "plot.png.txt"])
def test_an_unknown_suffix_is_an_error(name: str, file: str) -> None:
    result = CliRunner().invoke(cli, [*COMMANDS[name], file])
    assert result.exit_code == 2
    assert f"{file}: the suffix decides the format: .png" in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_known_suffixes_are_accepted(name: str, tmp_path: Path) -> None:
    for suffix in KNOWN[name].split():
        result = CliRunner().invoke(cli, [*COMMANDS[name], str(tmp_path / f"plot.{suffix}")])
        assert "suffix" not in result.output
        assert "none" in result.output


@pytest.mark.parametrize(
    ("name", "stem"), [("eval", "map-by-proposals"), ("compress", "map-by-rank")]
)
def test_earlier_plots_are_kept_without_a_name(
    name: str, stem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for expected in (f"{stem}.png", f"{stem}-2.png", f"{stem}-3.png"):
        plot = command.make_context(name, []).params["plot"]
        assert plot == Path(expected)
        plot.touch()
    given = command.make_context(name, ["--plot", f"{stem}.svg"]).params["plot"]
    assert given == Path(f"{stem}.svg")
