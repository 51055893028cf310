"""A report on one detector, or on two side by side: one HTML page and its plots."""

from frcnn_cli.engine.report.gather import Origin, subject_of_file, subject_of_model
from frcnn_cli.engine.report.machine import machine_facts
from frcnn_cli.engine.report.records import Report, Subject
from frcnn_cli.engine.report.stage_means import mean_stages
from frcnn_cli.engine.report.write import write_report

__all__ = [
    "Origin",
    "Report",
    "Subject",
    "machine_facts",
    "mean_stages",
    "subject_of_file",
    "subject_of_model",
    "write_report",
]
