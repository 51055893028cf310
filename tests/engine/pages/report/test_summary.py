"""Texts of the report's summary."""

from __future__ import annotations

import pytest

from frcnn_cli.engine.pages.report.summary import interval, percent, without_folders


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/home/someone/runs/x/model.safetensors", "model.safetensors"),
        ("/data/VOCdevkit/", "VOCdevkit"),
        ("../../someone/shapes", "shapes"),
        ("~/shapes", "shapes"),
        ("runs/x/model.safetensors", "runs/x/model.safetensors"),
        ("voc2007", "voc2007"),
        ("a / b", "a / b"),
        ("", ""),
        ("file=/home/someone/boxes.npz", "file=boxes.npz"),
        ('file="/home/someone/boxes.npz"', "file=boxes.npz"),
        ("/runs/lr=0.1/model.safetensors", "model.safetensors"),
        ("step=0.1", "step=0.1"),
        ("/", "/"),
    ],
)
def test_paths_from_outside_the_folder_lose_their_folders(value: str, shown: str) -> None:
    assert without_folders(value) == shown


def test_shares_and_intervals() -> None:
    assert (percent(0.5234), percent(None)) == ("52.3%", "–")
    assert interval((-0.0312, 0.004)) == "−3.1 to +0.4"
    assert interval((0.0, 0.0)) == "0.0 to 0.0"
    assert interval(None) == ""
