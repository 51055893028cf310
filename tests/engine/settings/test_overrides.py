"""Settings by name: read, rejected with the closest name, written and read back."""

from dataclasses import replace
from pathlib import Path

import pytest

from frcnn_cli.engine.settings import (
    Experiment,
    ProposalSettings,
    Sampling,
    SvmSettings,
    TrainSettings,
)
from frcnn_cli.engine.settings.fields import kinds_of, nested, values_of
from frcnn_cli.engine.settings.overrides import (
    Override,
    from_assignment,
    from_nested,
    override,
    read_toml,
    toml_text,
)
from frcnn_proposals.errors import InputError, MisuseError


def test_every_field_has_one_path() -> None:
    paths = list(values_of(Experiment()))
    assert len(set(paths)) == len(paths)
    assert {"backbone", "sampling.foreground_iou", "train.seed", "svm.c"} <= set(paths)
    assert set(kinds_of(Experiment())) == set(paths)


def test_a_field_of_a_nested_section_changes() -> None:
    changed = override(Experiment(), [from_assignment("sampling.foreground_iou=0.6", "--set")])
    assert changed.train.sampling == Sampling(foreground_iou=0.6)
    assert replace(changed, train=TrainSettings()) == Experiment()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("sampling.scales=[480, 576]", (480, 576)),
        ("sampling.background_iou=[0, 0.4]", (0.0, 0.4)),
        ("schedule.learning_rate=1", 1.0),
        ("sampling.flip=false", False),
        ("backbone=vgg16", "vgg16"),
        ('data.dataset="a b"', "a b"),
        ("detect.score_threshold=none", None),
    ],
)
def test_values_are_toml_and_get_the_type_of_the_field(text: str, value: object) -> None:
    given = from_assignment(text, "--set")
    found = values_of(override(Experiment(), [given]))[given.path]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "samplin.foreground_iou=0.6",
            "unknown setting 'samplin.foreground_iou'.*sampling.foreground_",
        ),
        ("foreground_iou=0.6", "Did you mean 'sampling.foreground_iou'"),
        ("train.sampling.foreground_iou=0.6", "Did you mean 'sampling.foreground_iou'"),
        ("iteration=3", "Did you mean 's.*iterations'"),
        ("sampling.foreground_iou=high", "--set: sampling.foreground_iou must be a number, not 'h"),
        ("sampling.foreground_iou=true", "must be a number, not True"),
        ("sampling.images=2.5", "must be an integer, not 2.5"),
        ("sampling.images=true", "must be an integer, not True"),
        ("sampling.flip=1", "must be true or false, not 1"),
        ("train.frozen=all", "must be one of default, features, none, not 'all'"),
        ("sampling.scales=600", "must be a list of integers, not 600"),
        ("sampling.background_iou=[0.1]", r"a list of 2 numbers, not \[0.1\]"),
        ("sampling.foreground_iou=1.5", r"--set: sampling.foreground_iou = 1.5: The foreground"),
        ("schedule.learning_rate=nan", "schedule.learning_rate = .*must be positive"),
        ("sampling.foreground_iou", "expected section.name=value"),
    ],
)
def test_errors_name_the_field_and_the_source(text: str, expected: str) -> None:
    with pytest.raises(MisuseError, match=expected):
        override(Experiment(), [from_assignment(text, "--set")])


def test_the_error_names_only_the_invalid_field() -> None:
    given = [Override("train.seed", 3, "a.toml"), Override("train.workers", -1, "--workers")]
    with pytest.raises(
        MisuseError, match=r"^--workers: train.workers = -1: Workers is -1; it must"
    ):
        override(Experiment(), given)


def test_fields_that_are_valid_only_together_are_applied_together() -> None:
    low_first = [
        Override("sampling.background_iou", [0.1, 0.3], "--set"),
        Override("sampling.foreground_iou", 0.3, "--set"),
    ]
    for given in (low_first, low_first[::-1]):
        assert override(Experiment(), given).train.sampling.foreground_iou == 0.3


def test_settings_survive_a_toml_file(tmp_path: Path) -> None:
    settings = TrainSettings(
        sampling=Sampling(scales=(480, 1000), strategy="roi-centric", background_iou=(0.0, 0.45)),
        classifier="svm",
        svm=SvmSettings(c=1e-05),
    )
    experiment = replace(Experiment(), train=settings, weights='odd "name"\\ \x7f é.pth')
    experiment = replace(experiment, detect=replace(experiment.detect, score_threshold=None))
    parameters = ('dense={"step": 0.3}', "mode=quality")
    experiment = replace(experiment, proposals=ProposalSettings(parameters=parameters))
    path = tmp_path / "setting.toml"
    path.write_text(toml_text(experiment), encoding="utf-8")
    assert override(Experiment(), read_toml(path)) == experiment
    assert override(Experiment(), from_nested(nested(experiment), "json")) == experiment


@pytest.mark.parametrize("content", [b"a = ", b"\xff\xfd", b"a = [" + b"[" * 5000])
def test_invalid_toml_is_an_error_with_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.toml"):
        read_toml(path)


def test_settings_without_effect_are_rejected() -> None:
    with pytest.raises(MisuseError, match="no effect unless classifier is 'svm'"):
        TrainSettings(svm=SvmSettings(c=1.0))
    with pytest.raises(MisuseError, match="no effect if box_training is 'none'"):
        TrainSettings(box_training="none", box_weight=2.0)
    with pytest.raises(MisuseError, match="omit weights"):
        Experiment(init="model.safetensors", weights="none")
    with pytest.raises(MisuseError, match=r"Scale 1200 of training exceeds .*max_size 1000"):
        Experiment(train=TrainSettings(sampling=Sampling(scales=(600, 1200))))
