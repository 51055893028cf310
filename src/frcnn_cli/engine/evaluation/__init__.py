"""Evaluation: how good detections are, against a data set's ground truth."""

from frcnn_cli.engine.evaluation.evaluate import Evaluation, evaluate
from frcnn_cli.engine.evaluation.read_detections import read_detections
from frcnn_cli.engine.evaluation.voc import VocResult, evaluate_voc

__all__ = ["Evaluation", "VocResult", "evaluate", "evaluate_voc", "read_detections"]
