"""Evaluation of detections and proposals against a dataset's ground truth."""
