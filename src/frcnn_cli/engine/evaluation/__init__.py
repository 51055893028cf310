"""Evaluation: how good detections are, against a data set's ground truth."""
