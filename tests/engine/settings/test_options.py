"""Changes to a model's detection settings."""

from __future__ import annotations

import dataclasses

import pytest

from frcnn_cli.engine.settings import Architecture, DetectSettings, Preprocessing
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_proposals.errors import MisuseError

RANKED = Architecture("alexnet", ("a",), (8, 8), Preprocessing(), ranker=True)
STORED = DetectSettings(
    score_threshold=0.4, top_k=7, scales=(480, 600), box_voting=0.5, max_per_class=33
)


def test_without_options_the_settings_of_the_model_are_unchanged() -> None:
    assert DetectionOptions().applied_to(STORED, RANKED) == STORED


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({"score_threshold": 0.0}, {"score_threshold": 0.0}),
        ({"top_k": 3}, {"top_k": 3}),
        ({"scales": ()}, {"scales": ()}),
        ({"flip": True}, {"flip": True}),
        ({"box_regression": False}, {"box_regression": False}),
        ({"box_voting": 0.0}, {"box_voting": 0.0}),
        ({"nms_iou": 0.0}, {"nms_iou": 0.0}),
        ({"max_proposals": 50}, {"max_proposals": 50}),
    ],
)
def test_an_option_changes_only_its_setting(
    given: dict[str, object], changed: dict[str, object]
) -> None:
    expected = dataclasses.asdict(STORED) | changed
    assert dataclasses.asdict(DetectionOptions(**given).applied_to(STORED, RANKED)) == expected


def test_defaults_do_not_change_a_model_with_flip_or_without_box_regression() -> None:
    stored = DetectSettings(flip=True, box_regression=False)
    assert DetectionOptions().applied_to(stored, RANKED) == stored


def test_evaluation_uses_no_score_threshold() -> None:
    settings = DetectionOptions(score_threshold=0.9).for_evaluation(STORED, RANKED)
    assert settings == dataclasses.replace(STORED, score_threshold=None)


def test_max_proposals_requires_a_part_that_selects() -> None:
    """A value without effect would look as if it had one."""
    options, plain = DetectionOptions(max_proposals=50), dataclasses.replace(RANKED, ranker=False)
    with pytest.raises(MisuseError, match="neither a ranker nor a second head"):
        options.applied_to(STORED, plain)
    cascade = dataclasses.replace(plain, cascade=True)
    assert options.applied_to(STORED, cascade).max_proposals == 50
    assert DetectionOptions().applied_to(STORED, plain) == STORED


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"nms_iou": 2}, "nms_iou is 2; it must be in 0..1."),
        ({"box_voting": -0.1}, "box_voting is -0.1; it must be in 0..1."),
        ({"top_k": 0}, "top_k is 0; it must be at least 1."),
        ({"max_proposals": 0}, "max_proposals is 0; it must be at least 1."),
    ],
)
def test_errors_show_the_value_and_the_name_as_it_is_written(
    given: dict[str, float], message: str
) -> None:
    with pytest.raises(MisuseError) as error:
        DetectionOptions(**given).applied_to(STORED, RANKED)
    assert str(error.value) == message
