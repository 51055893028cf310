"""Reading the log of a run from disk."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from slopes import peak_bytes, slope

from frcnn_cli.engine.training.metrics import appended_lines, read_training_log

STEP = '{"iteration": %d, "loss": %s, "classification": 0.5, "box_regression": 0.25}\n'


def test_losses_and_averages_are_read(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(STEP % (1, 0.75) + STEP % (2, 0.5))
    (tmp_path / "evaluations.jsonl").write_text('{"iteration": 2, "map": 0.4}\n{"iteration": 4')
    log = read_training_log(tmp_path)
    assert list(log.iterations) == [1, 2]
    losses = {part: list(values) for part, values in log.losses.items()}
    assert losses == {"total": [0.75, 0.5], "classes": [0.5, 0.5], "boxes": [0.25, 0.25]}
    assert log.averages == ((2, 0.4),)


def test_incomplete_lines_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(
        b'{"iteration": 1, "lo\n[1, 2]\n\xff\xfe\nnull\n'
        + (STEP % (3, "NaN") + STEP % (4, '"much"') + STEP % (5, 1.5)).encode()
        + b'{"iteration": 6, "loss'
    )
    log = read_training_log(tmp_path)
    assert list(log.iterations) == [5]
    assert list(log.losses["total"]) == [1.5]


def test_a_model_without_a_log_has_an_empty_one(tmp_path: Path) -> None:
    log = read_training_log(tmp_path)
    assert (len(log.iterations), log.averages) == (0, ())


def test_numbers_that_are_no_iteration_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(STEP.replace("%d", "1e300") % 1 + STEP % (2, 1))
    assert list(read_training_log(tmp_path).iterations) == [2]


def test_a_log_and_its_resumption_take_little_memory_per_line(tmp_path: Path) -> None:
    """32 bytes for four numbers, in arrays that grow in steps; lines are read one at a time."""

    def resume(path: Path) -> None:
        with appended_lines(path, 10**6):
            pass

    of_log, of_resuming = [], []
    for lines in (2_000, 12_000):
        folder = tmp_path / str(lines)
        folder.mkdir()
        path = folder / "metrics.jsonl"
        path.write_text("".join(STEP % (n, 0.5) for n in range(lines)))
        of_log.append((lines, peak_bytes(partial(read_training_log, folder))))
        of_resuming.append((lines, peak_bytes(partial(resume, path))))
    assert slope(*of_log) < 100
    assert slope(*of_resuming) < 1
