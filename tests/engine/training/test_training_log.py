"""Reading the log of a run from disk."""

from __future__ import annotations

from pathlib import Path

from frcnn_cli.engine.training.metrics import read_training_log

STEP = '{"iteration": %d, "loss": %s, "classification": 0.5, "box_regression": 0.25}\n'


def test_losses_and_averages_are_read(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(STEP % (1, 0.75) + STEP % (2, 0.5))
    (tmp_path / "evaluations.jsonl").write_text('{"iteration": 2, "map": 0.4}\n{"iteration": 4')
    log = read_training_log(tmp_path)
    assert log.iterations == (1, 2)
    assert log.losses == {"total": (0.75, 0.5), "classes": (0.5, 0.5), "boxes": (0.25, 0.25)}
    assert log.averages == ((2, 0.4),)


def test_incomplete_lines_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(
        b'{"iteration": 1, "lo\n[1, 2]\n\xff\xfe\nnull\n'
        + (STEP % (3, "NaN") + STEP % (4, '"much"') + STEP % (5, 1.5)).encode()
        + b'{"iteration": 6, "loss'
    )
    log = read_training_log(tmp_path)
    assert log.iterations == (5,)
    assert log.losses["total"] == (1.5,)


def test_a_model_without_a_log_has_an_empty_one(tmp_path: Path) -> None:
    log = read_training_log(tmp_path)
    assert (log.iterations, log.averages) == ((), ())
