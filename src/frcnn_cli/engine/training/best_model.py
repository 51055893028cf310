"""Keeping the best model on val while a run trains."""

from __future__ import annotations

from dataclasses import replace

from frcnn_cli.engine.models.store import BEST_FILE, save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.training.metrics import EVALUATIONS_FILE, appended_lines
from frcnn_cli.engine.training.run import Run
from frcnn_cli.engine.training.state import Progress, resumable_after_failure
from frcnn_cli.engine.training.validation import validate


def evaluation_is_due(run: Run, progress: Progress) -> bool:
    """Whether settings.eval_every, or the end, asks for one after this iteration."""
    every, done = run.settings.eval_every, progress.iteration
    return every > 0 and (done % every == 0 or done == run.settings.iterations)


def evaluated(model: FastRCNN, run: Run, progress: Progress) -> tuple[float, Progress]:
    """Judge the model, and keep it if it is the best so far; its mAP on val.

    The whole team judges, its first process writes.
    """
    assert run.validation is not None
    done = progress.iteration
    score = validate(model, run.validation, run.team)
    is_best = progress.best is None or score > progress.best
    if run.team.is_first:
        with appended_lines(run.folder / EVALUATIONS_FILE, done - 1) as write:
            write({"iteration": done, "map": score})
        if is_best:
            with resumable_after_failure(run.folder):
                origin = run.description() | {"iteration": done, "val_map": score}
                save_model(model, run.folder / BEST_FILE, origin)
    return score, replace(progress, best=score) if is_best else progress
