"""`frcnn eval`: score a detector on a data set."""

from __future__ import annotations

from pathlib import Path

import click

from frcnn_cli.commands import options
from frcnn_cli.commands.console import Output, pass_output, write_json
from frcnn_cli.commands.evaluation_tables import print_evaluation
from frcnn_cli.commands.sources import proposals_for
from frcnn_cli.commands.targets import open_evaluation_split, open_model, split_targets
from frcnn_cli.engine.detect import detect_dataset
from frcnn_cli.engine.devices import find_device
from frcnn_cli.engine.evaluation.evaluate import evaluate
from frcnn_cli.engine.results import coco_results
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.errors import InputError


@click.command("eval")
@click.argument("model", required=False)
@click.argument("dataset", required=False)
@click.option("--split", help="Default: test where it has annotations, else val.")
@options.data_root
@options.proposals
@options.source
@click.option("--allow-missing", is_flag=True, help="Leave out images that have no proposals.")
@click.option("--top-k", default=100, show_default=True, help="Detections kept an image.")
@options.runs_root
@options.device
@options.json_file
@click.option(
    "--save-detections", type=options.FilePath, help="Write the detections there, as COCO results."
)
@click.option(
    "--require-map",
    type=click.FloatRange(0, 1),
    help="End with exit code 1 where the mAP (11-point) is lower: for scripts.",
)
@pass_output
def eval(
    output: Output,
    model: str | None,
    dataset: str | None,
    split: str | None,
    data_root: Path | None,
    proposals: Path | None,
    source: str,
    allow_missing: bool,
    top_k: int,
    runs_root: Path,
    device: str,
    json_path: Path | None,
    save_detections: Path | None,
    require_map: float | None,
) -> None:
    """Score MODEL on DATASET: VOC average precision, for each class and the mean.

    MODEL is a file or a run's folder, by default the newest run; DATASET is by default the one
    that it was trained on.
    """
    model_path, dataset_name = split_targets(model, dataset)
    loaded = open_model(output, model_path, runs_root, find_device(device))
    data = open_evaluation_split(output, loaded, dataset_name, split, data_root)
    found = proposals_for(output, data, proposals, source, allow_missing=allow_missing)
    settings = DetectSettings(score_threshold=0.0, top_k=top_k)
    with output.progress("Detecting", len(found.dataset)) as advance:
        detected = detect_dataset(
            loaded.model, found.dataset, found.proposals, settings, lambda: advance(1, "")
        )
    for message in detected.unreadable:
        output.warn(f"not scored: {message}")
    evaluation = evaluate(found.dataset, detected.detections)
    print_evaluation(output, evaluation)
    if save_detections is not None:
        write_json(save_detections, coco_results(detected.detections, data.classes))
        output.note(f"Detections: {save_detections}")
    if json_path is not None:
        write_json(json_path, {"model": str(loaded.path), **evaluation.to_json()})
        output.note(f"Results: {json_path}")
    reached = evaluation.voc.map_11point or 0.0
    if require_map is not None and reached < require_map:
        raise InputError(f"mAP is {reached:.3f}, under the {require_map:.3f} that is required.")
