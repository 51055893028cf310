"""`--precision` on a processor with bfloat16 instructions, and on one without.

The latter is simulated in a child process in which oneDNN's newer instructions are disabled.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from called import frcnn
from click.testing import CliRunner

from frcnn_cli.cli import cli
from frcnn_cli.engine.distributed import devices
from frcnn_cli.engine.distributed.devices import choose_precision, has_fast_bfloat16
from frcnn_cli.engine.models.presets import PRESETS, base_experiment
from frcnn_cli.engine.models.store import load_model, save_model
from frcnn_cli.engine.network.backbones.defaults import DEFAULTS
from frcnn_proposals.errors import MisuseError

CPU = torch.device("cpu")
OLDER = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "FRCNN_ISA": "avx2"}
FEW = ["--source", "dense", "--scale", "64", "--workers", "0", "--weights", "none"]
FEW += ["--backbone", "efficientnet_lite0", "--iterations", "4", "--checkpoint-every", "2"]

# Runs commands, and prints the exit code and the output of each.
CHILD = """
import json, sys
from pathlib import Path
import torch
from click.testing import CliRunner
from frcnn_cli.cli import cli
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.distributed import devices
from frcnn_cli.engine.distributed.devices import has_fast_bfloat16
from frcnn_cli.engine.models.store import load_model

results = {"fast": has_fast_bfloat16(torch.device("cpu"))}
for name, words in json.loads(sys.argv[1]).items():
    result = CliRunner().invoke(cli, words)
    results[name] = [result.exit_code, result.output]
model, _ = load_model(Path(sys.argv[2]))
prepared = prepare_model(model, "bfloat16")
rois = torch.tensor([[0.0, 4, 4, 40, 40], [0, 10, 2, 60, 44]])
images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
with torch.inference_mode():
    exact, rounded = model(images, rois).logits, prepared(images, rois).logits
results["difference"] = ((exact - rounded).abs().max() / exact.abs().max()).item()
print(json.dumps(results), file=sys.__stdout__)
"""


def trained(folder: Path, name: str, *more: str) -> list[str]:
    return ["train", str(folder / "shapes"), *FEW, "--out", str(folder / name), *more]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, a finished run in float32, and an unfinished run in bfloat16."""
    folder = tmp_path_factory.mktemp("home")
    made = frcnn("data", "generate", folder / "shapes", "--images", 12, "--size", 128, 96)
    assert made.exit_code == 0, made.output
    for name, *more in (
        ("whole", "--precision", "float32"),
        ("cut", "--precision", "bfloat16", "--emulate-bfloat16"),
    ):
        result = CliRunner().invoke(cli, trained(folder, name, *more))
        assert result.exit_code == 0, result.output
    (folder / "cut" / "model.safetensors").unlink()
    model, origin = load_model(folder / "whole" / "model.safetensors")
    origin["experiment"]["detect"]["precision"] = "bfloat16"
    save_model(model, folder / "named.safetensors", origin)
    return folder


@pytest.fixture(scope="module")
def older(home: Path) -> dict[str, tuple[int, str]]:
    """Exit code and output of each command on a processor with only AVX2."""
    picture = str(sorted((home / "shapes" / "JPEGImages").glob("*.jpg"))[0])
    detect = ["detect", picture, "--model", str(home / "whole")]
    whole, shapes = str(home / "whole"), str(home / "shapes")
    named = str(home / "named.safetensors")
    commands = {
        "detect by name": [*detect, "--precision", "bfloat16"],
        "detect": detect,
        "eval by name": ["eval", whole, shapes, "--precision", "bfloat16"],
        "report by name": ["report", whole, "--precision", "bfloat16"],
        "compress by name": ["compress", whole, "--svd-rank", "4", "--precision", "bfloat16"],
        "detect by setting": ["detect", picture, "--model", named],
        "eval by setting": ["eval", named, shapes],
        "compress by setting": ["compress", named, "--svd-rank", "4"],
        "compress in float32": ["compress", named, "--svd-rank", "4", "--precision", "float32"],
        "export": ["export", named, "--format", "torch-export"],
        "train by name": trained(home, "named", "--precision", "bfloat16"),
        "train": trained(home, "auto"),
        "emulate": trained(home, "emulated", "--precision", "bfloat16", "--emulate-bfloat16"),
        "resume": ["train", "--resume", str(home / "cut")],
        "bench": ["bench", "train", "--cases", "paper-l-bfloat16"],
        "doctor": ["doctor"],
    }
    model = str(home / "whole" / "model.safetensors")
    child = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(commands), model],
        env=os.environ | OLDER, cwd=home, capture_output=True, text=True, check=True,
    )  # fmt: skip
    results: dict[str, tuple[int, str]] = json.loads(child.stdout.splitlines()[-1])
    return results


def precision_of(run: Path) -> str:
    precision: str = tomllib.loads((run / "setting.toml").read_text())["train"]["precision"]
    return precision


def test_disabled_instructions_are_not_used(older: dict) -> None:
    assert older["fast"] is False


@pytest.mark.parametrize("command", ["detect", "eval", "compress"])
def test_a_setting_of_bfloat16_is_rejected_with_the_name_of_its_model(
    older: dict, command: str
) -> None:
    exit_code, text = older[f"{command} by setting"]
    assert exit_code == 2
    message = " ".join(text.split())
    assert "named.safetensors: its detect.precision is bfloat16: this processor has no" in message
    assert message.endswith("Use --precision float32.")


def test_float32_is_the_way_out_and_an_export_needs_none(older: dict) -> None:
    for command in ("compress in float32", "export"):
        exit_code, text = older[command]
        assert exit_code == 0, text


@pytest.mark.parametrize("command", ["detect", "train", "eval", "report", "compress"])
def test_explicit_bfloat16_is_rejected_if_it_would_be_emulated(older: dict, command: str) -> None:
    exit_code, text = older[f"{command} by name"]
    assert exit_code == 2
    message = text[text.index("--precision") :].strip().splitlines()
    assert len(message) == 2, text
    assert "no bfloat16 arithmetic" in message[0]
    assert "--precision float32" in message[1]


def test_a_bench_of_emulated_bfloat16_is_rejected_with_the_name_of_its_case(older: dict) -> None:
    exit_code, text = older["bench"]
    assert exit_code == 2
    message = text[text.index("paper-l-bfloat16") :].strip().splitlines()
    assert len(message) == 2, text
    assert "no bfloat16 arithmetic" in message[0]
    assert "--precision" not in text


def test_a_rejected_run_leaves_no_folder(older: dict, home: Path) -> None:
    assert not (home / "named").exists()


def test_auto_is_float32_if_bfloat16_would_be_emulated(older: dict, home: Path) -> None:
    for command in ("detect", "train"):
        exit_code, text = older[command]
        assert exit_code == 0, text
        assert "in bfloat16" not in text
    assert "in float32" in older["train"][1]
    assert precision_of(home / "auto") == "float32"


def test_emulation_is_available_by_option(older: dict, home: Path) -> None:
    exit_code, text = older["emulate"]
    assert exit_code == 0, text
    assert precision_of(home / "emulated") == "bfloat16"


def test_a_run_in_bfloat16_resumes_in_float32_with_a_message(older: dict, home: Path) -> None:
    exit_code, text = older["resume"]
    assert exit_code == 0, text
    assert "started in bfloat16" in text
    assert "of 4, in float32" in " ".join(text.split())
    assert "not be bit for bit those of an uninterrupted run" in " ".join(text.split())
    _, origin = load_model(home / "cut" / "model.safetensors")
    assert origin["experiment"]["train"]["precision"] == "bfloat16"  # the precision of its start


def test_preparing_a_model_works_without_bfloat16_instructions(older: dict) -> None:
    assert 0 < older["difference"] < 0.06


def test_doctor_reports_missing_bfloat16(older: dict) -> None:
    assert "no bfloat16 arithmetic" in " ".join(older["doctor"][1].replace("│", " ").split())


def test_auto_trains_lite_in_the_fast_precision_of_the_processor(home: Path) -> None:
    result = CliRunner().invoke(cli, trained(home, "here"))
    assert result.exit_code == 0, result.output
    expected = "bfloat16" if has_fast_bfloat16(CPU) else "float32"
    assert precision_of(home / "here") == expected
    assert f"on cpu in {expected}" in result.output.replace("\n", " ")


@pytest.mark.parametrize("setting", ["float32", "bfloat16", "auto"])
def test_auto_uses_the_setting_of_the_model(home: Path, tmp_path: Path, setting: str) -> None:
    run = tmp_path / "own"
    more = ["--set", f"detect.precision={setting}", "--precision", "float32", "--out", str(run)]
    result = CliRunner().invoke(cli, trained(home, "own", *more))
    assert result.exit_code == 0, result.output
    picture = sorted((home / "shapes" / "JPEGImages").glob("*.jpg"))[0]
    detected = frcnn("detect", picture, "--model", run)
    if setting == "bfloat16" and not has_fast_bfloat16(CPU):
        assert detected.exit_code == 2
        return
    assert detected.exit_code == 0, detected.output
    expected = setting != "float32" and has_fast_bfloat16(CPU)
    assert ("in bfloat16" in detected.output) == expected


def test_models_in_bfloat16_load_in_float32(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    done = frcnn("compress", home / "whole", "--half", "--out", path)
    assert done.exit_code == 0, done.output
    model, _ = load_model(path)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("fast", [True, False])
def test_choices(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "has_fast_bfloat16", lambda device: fast)
    assert choose_precision("float32", CPU, measured=True) == "float32"
    assert choose_precision("auto", CPU, measured=False) == "float32"
    assert choose_precision("auto", CPU, measured=True) == ("bfloat16" if fast else "float32")
    if fast:
        assert choose_precision("bfloat16", CPU, measured=False) == "bfloat16"
    else:
        with pytest.raises(MisuseError, match="--precision float32"):
            choose_precision("bfloat16", CPU, measured=True)


def test_the_papers_presets_stay_in_float32() -> None:
    for preset in PRESETS:
        for backbone in (None, *DEFAULTS):
            experiment = base_experiment(preset.name, backbone)
            expected = "float32" if preset.as_the_paper else "auto"
            assert experiment.train.precision == expected
            assert experiment.detect.precision == expected
    assert {name for name, defaults in DEFAULTS.items() if defaults.bfloat16} == {
        f"efficientnet_{name}" for name in ("lite0", "lite1", "lite2", "lite0_c5", "lite2_c5")
    }
