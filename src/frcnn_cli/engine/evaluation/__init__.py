"""Evaluation: how good detections are, against a dataset's ground truth."""
