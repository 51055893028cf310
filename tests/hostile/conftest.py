"""A folder with good files for the tests, and the count of bad inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from children import Children
from click.testing import CliRunner

from frcnn_cli.cli import cli
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, Preprocessing

ENDS = pytest.StashKey[dict[str, str]]()


@pytest.fixture(scope="session")
def children() -> Iterator[Children]:
    children = Children()
    yield children
    children.close()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `shapes` (a dataset), `shapes.proposals` and an untrained model."""
    folder = tmp_path_factory.mktemp("home")
    for arguments in (
        ["data", "generate", folder / "shapes", "--images", 12, "--size", 128, 96],
        ["propose", folder / "shapes", "--source", "dense", "--param", "step=0.5",
         "--out", folder / "shapes.proposals", "--workers", 1],
    ):  # fmt: skip
        result = CliRunner().invoke(cli, list(map(str, arguments)))
        assert result.exit_code == 0, result.output
    classes = tuple((folder / "shapes" / "classes.txt").read_text().split())
    small = Preprocessing(scale=64, max_size=120)
    torch.manual_seed(0)
    model = FastRCNN(Architecture("efficientnet_lite0", classes, (16, 16), small))
    save_model(model, folder / "model.safetensors", {})
    return folder


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ENDS] = {}


@pytest.fixture
def count(request: pytest.FixtureRequest) -> dict[str, str]:
    """The outcomes of bad inputs by the digest of their content, for the summary."""
    return request.config.stash[ENDS]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    ends = Counter(config.stash[ENDS].values())
    if ends:
        terminalreporter.write_line(
            f"{ends.total()} distinct bad inputs: {ends['message']} were rejected with a message, "
            f"{ends['result']} gave a result."
        )
