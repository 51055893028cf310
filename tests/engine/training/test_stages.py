"""Which layers learn, when, and from which loss."""

from dataclasses import replace

import pytest

from frcnn_cli.engine.models.initial import with_weak_head
from frcnn_cli.engine.network.losses import LossWeights
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Schedule, TrainSettings
from frcnn_cli.engine.settings.training import Optimizer
from frcnn_cli.engine.training.optimizer import make_optimizer
from frcnn_cli.engine.training.stages import set_trainable, stages

TEN = Schedule(iterations=10)


def learning(model: FastRCNN, settings: TrainSettings, stage: int = 0) -> set[str]:
    """The layers of the parameters that learn."""
    set_trainable(model, stages(settings)[stage], settings)
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    return {".".join(n.split(".")[:3]) if "stages" in n else n.rsplit(".", 1)[0] for n in names}


def test_the_iterations_and_losses_of_each_stage() -> None:
    together = TrainSettings(schedule=TEN, box_weight=2.0)
    assert together.iterations == 10
    (only,) = stages(together)
    assert (only.start, only.end, only.weights) == (0, 10, LossWeights(1.0, 2.0))

    without = TrainSettings(schedule=TEN, box_training="none")
    assert without.iterations == 10
    assert stages(without)[0].weights == LossWeights(1.0, 0.0)

    apart = TrainSettings(schedule=TEN, box_training="stagewise", box_weight=2.0)
    assert apart.iterations == 20
    first, second = stages(apart)
    assert first == stages(without)[0]
    assert (second.start, second.end, second.weights) == (10, 20, LossWeights(0.0, 2.0))


def test_what_learns_by_default(small_model: FastRCNN) -> None:
    names = learning(small_model, TrainSettings())
    assert {"fc6", "fc7", "score", "box", "features.stages.2", "features.laterals.0"} <= names
    assert not names & {"features.stem", "features.stages.0", "features.stages.1"}


@pytest.mark.parametrize("box_training", ["none", "stagewise"])
def test_the_first_of_two_stages_does_not_train_the_box_layer(
    small_model: FastRCNN, box_training: str
) -> None:
    everything = learning(small_model, TrainSettings())
    names = learning(small_model, TrainSettings(box_training=box_training))  # type: ignore[arg-type]
    assert names == everything - {"box"}


def test_the_second_stage_trains_only_the_box_layer(small_model: FastRCNN) -> None:
    assert learning(small_model, TrainSettings(box_training="stagewise"), stage=1) == {"box"}


def test_all_or_no_features_fixed(small_model: FastRCNN) -> None:
    heads = {"fc6", "fc7", "score", "box"}
    added = {"features.laterals.0", "features.laterals.1", "features.laterals.2"}
    assert learning(small_model, TrainSettings(frozen="features")) == heads | added
    names = learning(small_model, TrainSettings(frozen="none"))
    assert {"features.stem", "features.stages.0", "features.stages.1"} <= names
    set_trainable(small_model, stages(TrainSettings())[0], TrainSettings(frozen="none"))
    assert all(parameter.requires_grad for parameter in small_model.parameters())


@pytest.mark.parametrize(("optimizer", "factor"), [("sgd", 10), ("adamw", 1)])
def test_refined_classifiers_learn_ten_times_as_fast_with_sgd(
    optimizer: Optimizer, factor: int, small_model: FastRCNN
) -> None:
    """As in the authors' implementation of OICR: lr_mult 10 for weights, and 20 for biases."""
    schedule = replace(TEN, optimizer=optimizer)
    settings = TrainSettings(schedule=schedule, box_training="none", classifier="oicr")
    model = with_weak_head(small_model, settings)
    set_trainable(model, stages(settings)[0], settings)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    factors = {
        names[id(parameter)]: group["rate_factor"]
        for group in make_optimizer(model, schedule).param_groups
        for parameter in group["params"]
    }
    refined = {name: rate for name, rate in factors.items() if name.startswith("weak.refined.")}
    assert refined == {
        f"weak.refined.{layer}.{part}": rate
        for layer in range(3)
        for part, rate in (("weight", factor), ("bias", 2 * factor))
    }
    assert (factors["weak.detection.weight"], factors["weak.detection.bias"]) == (1, 2)
    assert (factors["fc7.weight"], factors["fc7.bias"]) == (1, 2)
