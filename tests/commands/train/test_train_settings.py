"""Settings of `frcnn train` on the command line: precedence, errors, and stored values."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from called import frcnn
from click.testing import CliRunner, Result

from frcnn_cli.cli import cli
from frcnn_cli.engine.models.experiment_options import SettingOptions, experiment_from
from frcnn_cli.engine.models.presets import base_experiment
from frcnn_cli.engine.models.provenance import stored_experiment
from frcnn_cli.engine.models.store import load_model
from frcnn_cli.engine.settings import Experiment
from frcnn_cli.engine.settings.overrides import override, read_toml, toml_text
from frcnn_proposals.errors import MisuseError

FEW = ["--iterations", 3, "--scale", 64, "--workers", 0]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a generated dataset."""
    folder = tmp_path_factory.mktemp("home")
    made = frcnn("data", "generate", folder / "shapes", "--images", 16, "--size", 128, 96)
    assert made.exit_code == 0, made.output
    return folder


def trained(home: Path, name: str, *more: object) -> tuple[Result, Path]:
    run = home / "runs" / name
    result = frcnn("train", home / "shapes", "--source", "dense", "--out", run, *FEW, *more)
    return result, run


def test_later_sources_override_earlier_ones(tmp_path: Path) -> None:
    """preset < variants < --config < options, field by field."""
    config = tmp_path / "mine.toml"
    config.write_text(
        "[train]\nbox_training = 'multi-task'\nseed = 5\n[schedule]\niterations = 70\ngamma = 0.5\n"
    )
    found = experiment_from(
        SettingOptions(
            "paper-l",
            variants=("stagewise", "fc-only"),
            config=config,
            assignments=("schedule.gamma=0.2",),
            fields={"iterations": 9},
        )
    )
    train = found.train
    assert found.backbone == "vgg16"  # the preset
    assert train.frozen == "features"  # a variant
    assert train.box_training == "multi-task"  # the file, over a variant
    assert train.seed == 5  # the file
    assert (train.schedule.iterations, train.schedule.gamma) == (9, 0.2)  # the command line
    assert train.schedule.learning_rate == 0.001


def test_scale_keeps_all_proportions() -> None:
    found = experiment_from(SettingOptions(scale=300))
    assert (found.preprocessing.scale, found.preprocessing.max_size) == (300, 500)
    assert found.train.sampling.scales == (200, 250, 300)
    assert found.detect.scales == ()
    paper = SettingOptions("paper-m", scale=300, variants=("multiscale",))
    several = experiment_from(paper)
    assert several.train.sampling.scales == several.detect.scales == (240, 288, 344, 432, 600)
    assert several.preprocessing.max_size == 1000


def test_a_field_given_twice_is_rejected() -> None:
    options = SettingOptions(assignments=("schedule.iterations=3",), fields={"iterations": 4})
    with pytest.raises(MisuseError, match="given 2 times: --iterations, --set"):
        experiment_from(options)


def test_a_backbone_in_a_file_brings_its_own_scale(tmp_path: Path) -> None:
    config = tmp_path / "b.toml"
    config.write_text("backbone = 'alexnet'\n")
    found = experiment_from(SettingOptions(config=config))
    assert (found.backbone, found.preprocessing.scale) == ("alexnet", 600)


def test_the_setting_of_an_older_version_resizes_in_8_bits(tmp_path: Path) -> None:
    """It has every field except `resize`; a file that sets a few fields changes only those."""
    base = base_experiment("paper-s")
    config = tmp_path / "setting.toml"
    config.write_text(toml_text(base))
    assert experiment_from(SettingOptions(config=config)).preprocessing == base.preprocessing
    config.write_text(toml_text(base).replace('resize = "float32"\n', ""))
    for preset in (None, "paper-s"):
        found = experiment_from(SettingOptions(preset, config=config)).preprocessing
        assert found == replace(base.preprocessing, resize="uint8")
    config.write_text("[preprocessing]\nscale = 480\n")
    found = experiment_from(SettingOptions("paper-s", config=config)).preprocessing
    assert found == replace(base.preprocessing, scale=480)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[sampling]\nforeground_iuo = 0.6", "unknown setting 'sampling.foreground_iuo'. Did you "
         "mean 'sampling.foreground_iou'?"),
        ("[sampling]\nforeground_iou = 'high'", "sampling.foreground_iou must be a number, not "
         "'high'."),
        ("[sampling]\nforeground_iou = 2.0", "sampling.foreground_iou = 2.0: The foreground IoU "
         "is 2.0; it must be above 0 and at most 1."),
        ("[sampling", "not a readable TOML file"),
    ],
)  # fmt: skip
def test_errors_name_the_settings_file(tmp_path: Path, content: str, expected: str) -> None:
    config = tmp_path / "wrong.toml"
    config.write_text(content)
    result = frcnn("train", "voc2007", "--config", config)
    assert result.exit_code in (1, 2)
    output = result.output.replace("\n", " ")
    assert str(config) in output
    assert expected in output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--preset", "papr-l"], "Did you mean 'paper-l'"),
        (["--variant", "svn"], "Did you mean 'svm'"),
        (["--set", "sampling.imgaes=3"], "Did you mean 'sampling.images'"),
        (["--sampling", "roi"], "roi-centric"),
        (["--learning-rate", "-1"], "--learning-rate: schedule.learning_rate = -1.0"),
        (["--init", "nothing.safetensors"], "nothing.safetensors"),
    ],
)
def test_a_wrong_option_is_misuse(arguments: list[str], expected: str) -> None:
    result = frcnn("train", "voc2007", *arguments)
    assert result.exit_code == 2, result.output
    assert expected in result.output


def test_the_complete_setting_is_printed_saved_and_stored(home: Path) -> None:
    result, run = trained(home, "saved", "--set", "sampling.foreground_iou=0.55", "--seed", 4)
    assert result.exit_code == 0, result.output
    shown = [line.split() for line in result.output.splitlines() if "foreground_iou" in line]
    assert [row[1:-1:2] for row in shown] == [["sampling.foreground_iou", "0.55", "0.5"]]
    saved = override(Experiment(), read_toml(run / "setting.toml"))
    model, origin = load_model(run / "model.safetensors")
    assert stored_experiment(origin, model.architecture, run / "model.safetensors") == saved
    assert str(home) not in (run / "model.safetensors").read_bytes().decode("latin-1")
    elsewhere = stored_experiment(origin, model.architecture, home / "model.safetensors")
    assert (elsewhere.data.dataset, elsewhere.data.root) == ("shapes", "")
    assert saved.data.dataset == str(home / "shapes")
    assert (saved.data.split, saved.train.seed) == ("trainval", 4)
    assert len(origin["proposals_fingerprint"]) == 64
    # The same file gives the same model.
    again = home / "runs" / "again"
    result = frcnn("train", "--config", run / "setting.toml", "--out", again)
    assert result.exit_code == 0, result.output
    assert (again / "setting.toml").read_text() == (run / "setting.toml").read_text()
    first, second = (
        load_model(path / "model.safetensors")[0].state_dict() for path in (run, again)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_all_presets_and_variants_are_listed() -> None:
    output = CliRunner().invoke(cli, ["train", "--list-presets"], env={"COLUMNS": "160"}).output
    for name in ("lite", "paper-s", "paper-m", "paper-l", "multiscale", "no-bbox-reg", "stagewise",
                 "fc-only", "svm", "wsddn", "oicr", "dense", "sampling.foreground_iou",
                 "schedule.weight_decay",
                 "480 576 688 864 1200", "vgg_cnn_m_1024"):  # fmt: skip
        assert name in output


@pytest.mark.parametrize(
    ("option", "value"),
    [("--seed", 3), ("--iterations", 9), ("--variant", "svm"), ("--set", "train.seed=1"),
     ("--config", "x.toml"), ("--out", "elsewhere"), ("--scale", 80)],
)  # fmt: skip
def test_resume_rejects_other_settings(home: Path, option: str, value: object) -> None:
    result = frcnn("train", "--resume", home, option, value)
    assert result.exit_code == 2
    assert f"{option} cannot be used with --resume" in result.output


@pytest.mark.parametrize("new_place", [("shapes",), ("--data-root", "."), ("--proposals", "home")])
def test_resume_accepts_new_places_of_the_data(home: Path, new_place: tuple[str, ...]) -> None:
    result = frcnn("train", "--resume", home, *new_place)
    assert result.exit_code == 1
    assert "contains no run to resume" in result.output


def test_a_finished_run_is_not_repeated(home: Path) -> None:
    result, run = trained(home, "finished")
    assert result.exit_code == 0
    before = (run / "model.safetensors").stat().st_mtime_ns
    result = frcnn("train", "--resume", run)
    assert result.exit_code == 0
    assert "this run has finished" in result.output
    assert (run / "model.safetensors").stat().st_mtime_ns == before


def test_changed_proposals_are_rejected(home: Path, tmp_path: Path) -> None:
    def propose(step: str) -> None:
        made = frcnn(
            "propose",
            home / "shapes" / "JPEGImages",
            "--source",
            "dense",
            "--param",
            f"step={step}",
            "--out",
            tmp_path / "p.proposals",
        )
        assert made.exit_code == 0, made.output  # fmt: skip

    propose("0.4")
    run = tmp_path / "run"
    result = frcnn("train", home / "shapes", "--proposals", tmp_path / "p.proposals", "--out", run,
                   *FEW, "--checkpoint-every", 2)  # fmt: skip
    assert result.exit_code == 0, result.output
    (run / "model.safetensors").unlink()
    assert frcnn("train", "--resume", run).exit_code == 0
    (run / "model.safetensors").unlink()
    (tmp_path / "p.proposals").unlink()
    propose("0.5")
    result = frcnn("train", "--resume", run)
    assert result.exit_code == 2
    assert "the proposals have changed since this run started" in result.output


def test_a_rejected_command_leaves_no_folder(home: Path, tmp_path: Path) -> None:
    empty = tmp_path / "none.json"
    empty.write_text("{}")
    run = tmp_path / "run"
    result = frcnn("train", home / "shapes", "--proposals", empty, "--out", run, *FEW)
    assert result.exit_code != 0
    assert not run.exists()


def test_a_val_split_used_for_training_is_not_evaluated(home: Path) -> None:
    result, run = trained(home, "val", "--eval-every", 2)
    assert result.exit_code == 2
    assert "are also in the training split trainval" in result.output
    assert not run.exists()


def test_evaluation_saves_and_reports_the_best_model(home: Path) -> None:
    result, run = trained(home, "best", "--eval-every", 2, "--split", "train")
    assert result.exit_code == 0, result.output
    assert "Best on val" in result.output
    assert (run / "best.safetensors").is_file()


def test_training_starts_from_a_detector_with_other_classes(home: Path, tmp_path: Path) -> None:
    _, run = trained(home, "start")
    other = tmp_path / "other"
    made = frcnn("data", "generate", other, "--images", 8, "--size", 128, 96)
    assert made.exit_code == 0
    for file in (other / "classes.txt", *(other / "Annotations").glob("*.xml")):
        file.write_text(file.read_text().replace("cross", "plus"))
    result = frcnn("train", other, "--init", run, "--source", "dense", "--out", tmp_path / "run",
                   "--iterations", 1, "--learning-rate", "1e-30", "--workers", 0)  # fmt: skip
    assert result.exit_code == 0, result.output
    old, new = (load_model(path / "model.safetensors")[0] for path in (run, tmp_path / "run"))
    assert new.architecture.preprocessing == old.architecture.preprocessing
    new_names, old_names = new.architecture.classes, old.architecture.classes
    shared = set(new_names) & set(old_names)
    assert shared
    assert set(new_names) != set(old_names)
    for name in shared:
        row, old_row = new_names.index(name) + 1, old_names.index(name) + 1
        assert torch.equal(new.score.weight[row], old.score.weight[old_row])


def test_detection_uses_the_scales_of_the_setting(home: Path) -> None:
    """Scales of detection given in training are used by `frcnn eval`."""
    result, run = trained(home, "scales", "--set", "detect.scales=[48, 90]")
    assert result.exit_code == 0, result.output
    scores = {}
    for name, more in {
        "own": [],
        "same": ["--scales", "48,90"],
        "one": ["--scales", "one"],
    }.items():
        out = home / f"{name}.json"
        found = frcnn("eval", run, "--save-detections", out, *more)
        assert found.exit_code == 0, found.output
        scores[name] = out.read_text()
    assert scores["own"] == scores["same"] != scores["one"]


def test_the_stored_setting_is_plain_toml(home: Path) -> None:
    _, run = trained(home, "plain")
    table = tomllib.loads((run / "setting.toml").read_text())
    assert table["sampling"]["foreground_iou"] == 0.5
    assert table["schedule"]["iterations"] == 3
