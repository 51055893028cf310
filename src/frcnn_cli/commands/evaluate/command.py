"""`frcnn eval`: evaluate a detector, or a file of detections, on a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from frcnn_cli.commands.evaluate.tables import percent, print_evaluation, print_sweep
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.detection_options import (
    check_data,
    data_options,
    detection_options,
    split_arguments,
    take,
)
from frcnn_cli.commands.shared.parts import parts_files, print_parts, shard, take_parts
from frcnn_cli.engine.distributed.shard import Shard
from frcnn_cli.engine.evaluation.detections_file import check_detections
from frcnn_cli.engine.models.store import find_model
from frcnn_cli.engine.parts.run import PartsOptions
from frcnn_cli.engine.settings.options import DataOptions, DetectionOptions
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.files import check_writable

if TYPE_CHECKING:
    from frcnn_cli.engine.evaluation.scores import Evaluation


@dataclass(frozen=True)
class EvalOptions:
    """The options of `frcnn eval`."""

    model: Path | None
    data: DataOptions
    detection: DetectionOptions
    detections: Path | None
    corloc: bool
    coco: bool
    sweep: tuple[int, ...] | None
    plot: Path
    runs_root: Path
    device: str
    json_path: Path | None
    save_detections: Path | None
    shard: Shard | None
    parts: PartsOptions
    require_map: float | None


def parse_sweep(text: str) -> tuple[int, ...]:
    """Parse `proposals=100,300,1000`. Raises MisuseError for anything else."""
    name, _, values = text.partition("=")
    try:
        counts = tuple(int(value) for value in values.split(","))
    except ValueError:
        counts = ()
    if name.strip() != "proposals" or not counts or not all(0 < count < 2**31 for count in counts):
        raise MisuseError(f"--sweep must be like proposals=100,300,1000, not '{text}'.")
    return counts


@click.command("eval")
@click.argument("model", required=False)
@click.argument("dataset", required=False)
@data_options
@detection_options
@click.option(
    "--detections",
    type=options.AnyPath,
    help="Evaluate this file instead of a model: COCO results JSON, a folder of parts (`frcnn "
    "detect --parts`), or text files, one per class (VOC devkit) or per image.",
)
@options.corloc
@click.option(
    "--coco/--no-coco",
    default=True,
    show_default=True,
    help="Compute the COCO metrics, which take most of the time of an evaluation.",
)
@click.option(
    "--sweep",
    metavar="proposals=N,N,...",
    callback=lambda _, __, value: None if value is None else parse_sweep(value),
    help="Plot mAP against the maximum number of proposals per image (see --plot).",
)
@options.plot_of_sweep("map-by-proposals.png")
@options.runs_root
@options.device
@options.json_file
@click.option(
    "--save-detections",
    type=options.OutputFile,
    help="Write the detections to this file, as COCO results.",
)
@shard
@parts_files
@click.option(
    "--require-map",
    type=click.FloatRange(0, 1),
    help="Exit with code 1 if the mAP (11-point, from 0 to 1) is lower. For scripts.",
)
@pass_output
def eval(output: Output, /, model: str | None, dataset: str | None, **given: Any) -> None:
    """Evaluate MODEL on DATASET: VOC and COCO average precision per class, and their means.

    MODEL is a file, a run by its folder or name, or a shipped model; the default is the newest run,
    or else voc. DATASET defaults to the dataset that the model was trained on. With --detections, a
    file of detections is evaluated instead of a model.

    \b
    frcnn eval
    frcnn eval runs/voc2007-vgg16 voc2007 --split val --json scores.json
    frcnn eval --detections results.json voc2007
    frcnn eval --split trainval --corloc
    frcnn eval runs/voc2007-vgg16 voc2007 --shard 2/8 --parts found
    """
    if given["detections"] is None:
        path, name = split_arguments(model, dataset, given["runs_root"], given["data_root"])
    elif model is None or dataset is not None:
        raise MisuseError("--detections evaluates a file, not a model: name only the dataset.")
    else:
        path, name = None, model
    chosen = EvalOptions(
        path,
        take(DataOptions, given, dataset=name),
        take(DetectionOptions, given),
        parts=take_parts(given),
        **given,
    )
    _check(chosen)
    from frcnn_cli.engine.evaluation.proposal_sweep import sweep_proposals
    from frcnn_cli.engine.evaluation.run import (
        detect_for_evaluation,
        evaluate_file,
        evaluate_model,
    )
    from frcnn_cli.engine.models.loaded import model_in_team

    data = chosen.data
    evaluation: Evaluation | None
    if chosen.detections is not None:
        assert name is not None
        evaluation = evaluate_file(
            *(chosen.detections, name, data.split, data.data_root),
            *(data.allow_mismatch, chosen.coco, output),
        )
        _print_scores(output, chosen, evaluation)
        return
    with model_in_team(
        chosen.model, chosen.runs_root, chosen.device, chosen.detection.precision, output
    ) as (loaded, team):
        if chosen.parts.parts is not None:
            written = detect_for_evaluation(
                loaded,
                data,
                chosen.detection,
                chosen.parts,
                chosen.shard,
                team,
                output,
            )
            if team.is_first:
                print_parts(output, written)
            return
        if chosen.sweep is not None:
            sweep = sweep_proposals(loaded, data, chosen.detection, chosen.sweep, team, output)
            print_sweep(output, sweep, chosen.plot, chosen.json_path)
            return
        evaluation = evaluate_model(
            loaded, data, chosen.detection, chosen.save_detections, chosen.coco, team, output
        )
    if evaluation is not None:
        _print_scores(output, chosen, evaluation)


def _check(chosen: EvalOptions) -> None:
    """Raise an error for missing or unwritable files, before any slow import."""
    check_data(chosen.data)
    if chosen.shard is not None and chosen.parts.parts is None:
        raise MisuseError(
            "--shard detects in a share of the images: add --parts FOLDER.\n"
            "`frcnn eval --detections FOLDER` evaluates the parts of all shards."
        )
    results = (chosen.detections, chosen.sweep, chosen.save_detections, chosen.json_path)
    if chosen.parts.parts is not None and (
        any(each is not None for each in (*results, chosen.require_map)) or chosen.corloc
    ):
        raise MisuseError(
            "--parts writes the detections and does not evaluate them: remove the options for "
            "evaluation, then run `frcnn eval --detections FOLDER`."
        )
    if chosen.detections is not None:
        check_detections(chosen.detections)
        return
    find_model(chosen.model, chosen.runs_root)
    if chosen.sweep is not None:
        if chosen.corloc:
            raise MisuseError("--corloc has no effect with --sweep: give only one of them.")
        if not chosen.coco:
            raise MisuseError("--sweep computes no COCO metrics: remove --no-coco.")
        check_writable(chosen.plot)


def _print_scores(output: Output, chosen: EvalOptions, evaluation: Evaluation) -> None:
    print_evaluation(output, evaluation, chosen.corloc)
    if chosen.json_path is not None:
        write_json(chosen.json_path, evaluation.to_json())
        output.note_file("Results", chosen.json_path)
    map_11point = evaluation.voc.map_11point or 0.0
    if chosen.require_map is not None and map_11point < chosen.require_map:
        raise InputError(
            f"mAP is {percent(map_11point)}%, but --require-map needs at least "
            f"{percent(chosen.require_map)}%."
        )
