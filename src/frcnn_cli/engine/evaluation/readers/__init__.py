"""Readers of files of detections."""
