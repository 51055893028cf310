"""`frcnn eval`: score a detector, or anybody's detections, on a data set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import torch

from frcnn_cli.commands.evaluate.sweep import run_sweep
from frcnn_cli.commands.evaluate.tables import print_evaluation
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.detection_options import (
    dataset_journal,
    detect_settings,
    judging_options,
    unfinished,
)
from frcnn_cli.commands.shared.model_and_data import (
    open_evaluation_split,
    open_model,
    open_split,
    split_targets,
)
from frcnn_cli.engine.datasets.layout import refuse_unless_picture
from frcnn_cli.engine.detection.images import detect_dataset, joined_detections, scored_images
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.distributed.connect import joined
from frcnn_cli.engine.distributed.devices import find_device
from frcnn_cli.engine.distributed.team import Team, team_from_environment
from frcnn_cli.engine.evaluation.coco_results import coco_results
from frcnn_cli.engine.evaluation.detections_file import read_detections
from frcnn_cli.engine.evaluation.proposal_sweep import parse_sweep
from frcnn_cli.engine.evaluation.scores import Evaluation, evaluate
from frcnn_cli.engine.proposals.for_dataset import proposals_for, warn_of_some
from frcnn_cli.engine.settings import PrecisionChoice
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.files import refuse_to_replace


@click.command("eval")
@click.argument("model", required=False)
@click.argument("dataset", required=False)
@judging_options
@click.option(
    "--detections",
    type=options.AnyPath,
    help="Score this file, without a model: COCO results json, or VOC devkit text files.",
)
@click.option(
    "--sweep",
    metavar="proposals=N,N,...",
    help="Draw mAP against the number of proposals an image, into --plot.",
)
@click.option(
    "--plot",
    type=options.FilePath,
    default=Path("map-by-proposals.png"),
    show_default=True,
    help="Picture that --sweep draws.",
)
@options.runs_root
@options.device
@options.json_file
@click.option(
    "--save-detections",
    type=options.OutputFile,
    help="Write the detections there, as COCO results.",
)
@click.option(
    "--require-map",
    type=click.FloatRange(0, 1),
    help="End with exit code 1 where the mAP (11-point) is lower: for scripts.",
)
@pass_output
def eval(output: Output, /, **given: Any) -> None:
    """Score MODEL on DATASET: VOC and COCO averages, for each class and the mean.

    MODEL is a file or a run's folder, by default the newest run; DATASET is by default the one
    that it was trained on. With --detections, a file of detections is scored instead.

    \b
    frcnn eval
    frcnn eval runs/voc2007-vgg16 voc2007 --split val --json scores.json
    frcnn eval --detections results.json voc2007
    """
    asked = Asked(**given)
    evaluation: Evaluation | None
    if asked.detections is not None:
        evaluation = _score_file(output, asked)
    else:
        team = team_from_environment()
        with joined(team, find_device(asked.device)) as device:
            evaluation = _score_model(output, asked, team, device)
    if evaluation is None:
        return
    print_evaluation(output, evaluation)
    if asked.json_path is not None:
        write_json(asked.json_path, evaluation.to_json())
        output.note(f"Results: {asked.json_path}")
    reached = evaluation.voc.map_11point or 0.0
    if asked.require_map is not None and reached < asked.require_map:
        raise InputError(f"mAP is {reached:.3f}, under the {asked.require_map:.3f} required.")


@dataclass(frozen=True)
class Asked:
    """What the command line said."""

    model: str | None
    dataset: str | None
    split: str | None
    data_root: Path | None
    proposals: Path | None
    source: str | None
    allow_mismatch: bool
    top_k: int | None
    precision: PrecisionChoice
    tta: str | None
    scales: str | None
    no_box_regression: bool
    box_voting: float | None
    detections: Path | None
    sweep: str | None
    plot: Path
    runs_root: Path
    device: str
    json_path: Path | None
    save_detections: Path | None
    require_map: float | None


def _score_file(output: Output, asked: Asked) -> Evaluation:
    if asked.model is None or asked.dataset is not None:
        raise MisuseError("--detections needs a data set, and no model: name the data set alone.")
    assert asked.detections is not None
    if asked.json_path is not None:
        refuse_to_replace(asked.detections, asked.json_path)
    data = open_split(
        output, asked.model, asked.split, asked.data_root, report=refuse_unless_picture
    )
    return evaluate(data, read_detections(asked.detections, data))


def _score_model(
    output: Output, asked: Asked, team: Team, device: torch.device
) -> Evaluation | None:
    """The model's scores; None where a sweep has printed its own, or another process has them."""
    counts = None if asked.sweep is None else parse_sweep(asked.sweep)
    if counts is not None and team.world > 1:
        raise MisuseError("--sweep runs in one process: start it without torchrun.")
    model_path, name = split_targets(asked.model, asked.dataset)
    loaded = open_model(output, model_path, asked.runs_root, device, asked.precision)
    judged = open_evaluation_split(output, loaded, name, asked.split, asked.data_root)
    settings = detect_settings(loaded, asked)
    source = asked.source or loaded.experiment.proposals.source
    with team.first_alone():
        found = proposals_for(
            output,
            judged.dataset,
            asked.proposals,
            source,
            data_root=judged.data_root,
            allow_mismatch=asked.allow_mismatch,
        )
    if counts is not None:
        model = prepare_model(loaded.model, loaded.precision)
        run_sweep(output, model, found, settings, counts, asked.plot, asked.json_path)
        return None
    part = replace(found.dataset, images=team.part(found.dataset.images))
    journal = dataset_journal(loaded, found, settings, source, asked.proposals, team.label)
    with unfinished(output, journal), output.progress("Detecting", len(part)) as advance:
        model = prepare_model(loaded.model, loaded.precision)
        of_part = detect_dataset(
            model, part, found.proposals, settings, lambda: advance(1, ""), journal
        )
        detected = joined_detections(team.gather(of_part))
    if not team.is_first:
        journal.remove()
        return None
    warn_of_some(output, detected.unreadable)
    if asked.save_detections is not None:
        write_json(asked.save_detections, coco_results(detected.detections, found.dataset.classes))
        output.note(f"Detections: {asked.save_detections}")
    evaluation = evaluate(scored_images(found.dataset, [detected.detections]), detected.detections)
    journal.remove()
    return evaluation
