"""`frcnn propose --shard`: a part of invalid images, and merging it with the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from frcnn_cli.cli import cli
from frcnn_cli.engine.distributed.shard import Shard
from frcnn_proposals.store.reader import open_store

IDS = {f"p{index}" for index in range(4)}
IN_SECOND = {image_id for image_id in IDS if Shard(2, 2).holds(image_id)}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four images in a folder, with its parent as the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "images"
    folder.mkdir()
    for image_id in IDS:
        Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(folder / f"{image_id}.png")
    return folder


def test_a_shard_of_invalid_images_is_part_of_the_merged_store(images: Path) -> None:
    assert IN_SECOND
    for image_id in IN_SECOND:
        (images / f"{image_id}.png").write_bytes(b"")
    command = ("propose", "images", "--source", "dense")
    assert run(*command, "--shard", "1/2", "--out", "one").exit_code == 0
    assert run(*command, "--shard", "2/2", "--out", "two").exit_code == 1
    merged = run("proposals", "merge", "one", "two", "--out", "all")
    assert merged.exit_code == 0, merged.output
    assert {image_id for image_id, _ in open_store("all").failures()} == IN_SECOND
    assert set(open_store("all")) == IDS - IN_SECOND


def test_a_shard_of_invalid_images_does_not_replace_another_store(images: Path) -> None:
    command = ("propose", "images", "--source", "dense", "--out", "boxes")
    assert run(*command).exit_code == 0
    before = Path("boxes").read_bytes()
    for path in images.iterdir():
        path.write_bytes(b"")
    other = ("--param", "step=0.3", "--shard", "1/2", "--replace")
    assert run(*command, *other).exit_code == 1
    assert Path("boxes").read_bytes() == before
