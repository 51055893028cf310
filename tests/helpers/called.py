"""`frcnn`, called in the tests' own process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from frcnn_cli.cli import cli


def frcnn(*arguments: object) -> Result:
    """What the command line does with these words."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])
