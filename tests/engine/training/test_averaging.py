"""The moving average of the weights, against the recurrence in float64."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.helpers.small_runs import equal, new_model, settings, weights

from frcnn_cli.engine.models.store import BEST_FILE
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import DetectSettings
from frcnn_cli.engine.training.loop import resume, train
from frcnn_cli.engine.training.run import Run, Validation
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError

MakeProposals = Callable[[Dataset], dict[str, Proposals]]


@pytest.fixture
def run(tiny_dataset: Dataset, grid_proposals: MakeProposals, run_folder: Path) -> Run:
    proposals = grid_proposals(tiny_dataset)
    return Run(run_folder, tiny_dataset, proposals, settings(15, 1000, averaging=0.5))


def test_the_final_model_is_the_average_of_the_weights_of_all_iterations(run: Run) -> None:
    model, seen = new_model(run.dataset), []

    def note(step: object) -> None:
        seen.append(model.fc7.weight.detach().double().numpy().copy())

    trained = train(model, run, note)
    expected = seen[0]
    for iteration, value in enumerate(seen[1:], start=1):
        # 2/11, 3/12, ... of the average are kept, until that is over a half at 8/17.
        kept = min(0.5, (1 + iteration) / (10 + iteration))
        expected = kept * expected + (1 - kept) * value
    found = weights(trained.path)["fc7.weight"].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert not np.allclose(found, seen[-1], rtol=1e-3)


def test_training_itself_does_not_depend_on_the_average(run: Run, tmp_path: Path) -> None:
    """The average is read, never trained on, although validation uses it in between."""
    validation = Validation(run.dataset, run.proposals, DetectSettings())
    plain = replace(run, folder=tmp_path / "plain", settings=settings(6, 1000))
    often = replace(
        run,
        folder=tmp_path / "often",
        validation=validation,
        settings=settings(6, 1000, averaging=0.9, eval_every=2),
    )
    last = {}
    for each in (plain, often):
        model = new_model(run.dataset)
        states: list[dict[str, torch.Tensor]] = []

        def note(
            step: object,
            model: torch.nn.Module = model,
            states: list[dict[str, torch.Tensor]] = states,
        ) -> None:
            states.append({n: v.clone() for n, v in model.state_dict().items()})

        train(model, each, note)
        last[each.folder.name] = states[-1]
    assert equal(last["plain"], last["often"])
    assert not equal(weights(often.folder / "model.safetensors"), last["often"])
    best = weights(often.folder / BEST_FILE)
    assert not torch.equal(best["fc7.weight"], last["plain"]["fc7.weight"])


def test_an_interrupted_run_resumes_with_the_same_average(run: Run, tmp_path: Path) -> None:
    whole = train(new_model(run.dataset), run).path
    other = replace(run, folder=tmp_path / "other", settings=settings(15, 2, averaging=0.5))

    def stop(step: object) -> None:
        if getattr(step, "iteration", 0) == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(new_model(run.dataset), other, stop)
    assert equal(weights(whole), weights(resume(other).path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"averaging": 1.0}, "Averaging is 1; it must be at least 0 and less than 1"),
        ({"averaging": 0.9, "box_training": "stagewise"}, "requires one stage of training"),
    ],
)
def test_other_values_are_rejected(change: dict[str, object], message: str) -> None:
    with pytest.raises(MisuseError, match=message):
        settings(5, 5, **change)
