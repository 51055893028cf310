"""Evaluation of a model on val during training, and saving of the best one."""

from __future__ import annotations

from dataclasses import replace

from frcnn_cli.engine.detection.dataset import detect_dataset, readable_images
from frcnn_cli.engine.detection.images import gather_results
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.evaluation.voc import evaluate_voc
from frcnn_cli.engine.models.store import BEST_FILE, save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Precision
from frcnn_cli.engine.training.checkpoint import Progress, resumable_after_failure
from frcnn_cli.engine.training.metrics import EVALUATIONS_FILE, appended_lines
from frcnn_cli.engine.training.run import Run, Validation


def validation_is_due(run: Run, done: int) -> bool:
    """Whether to score the model after `done` iterations.

    It is scored every settings.eval_every iterations, and after the last one.
    """
    every = run.settings.eval_every
    return every > 0 and (done % every == 0 or done == run.settings.iterations)


def validate_and_save_best(model: FastRCNN, run: Run, progress: Progress) -> tuple[float, Progress]:
    """Score the model, and save it if it is the best so far.

    Returns its mAP on val and the new progress. All processes of the team detect; the first one
    writes.
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
    best = score if is_best else progress.best
    return score, replace(progress, best=best, awaits_validation=False)


def validate(model: FastRCNN, validation: Validation, team: Team = ALONE) -> float:
    """Mean average precision (VOC2007's, 0 to 1) on the validation set; 0 if no object counts.

    A copy prepared for detection is scored, so that the model itself is unchanged and stays in
    training mode. Each process of the team runs on its part of the images and returns the score
    of all images that can be read. Raises InputError if there is none.
    """
    precision: Precision = "bfloat16" if validation.settings.precision == "bfloat16" else "float32"
    prepared, whole = prepare_model(model, precision), validation.dataset
    part = replace(whole, images=team.part(whole.images))
    of_part = detect_dataset(prepared, part, validation.proposals, validation.settings)
    found = gather_results(team, of_part, [image.image_id for image in whole.images]).found
    return evaluate_voc(readable_images(whole, [found]), found).map_11point or 0.0
