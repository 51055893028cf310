"""The snippets of docs/scale.md for other engines, as far as the engines are installed.

Each engine runs the functions of the page in a script. What it writes is what the command writes
with as many threads.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from frcnn_proposals.formats.parts.about import part_files
from frcnn_proposals.formats.parts.files import read_part
from frcnn_proposals.formats.parts.row import Row

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"
PHOTOS = PAGE.parent / "images" / "photos"
BAD = "bad"
SIDE = 200  # pixels
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",  # for equal bits
    "PYSPARK_PYTHON": sys.executable,
}
LONGEST = 1800  # seconds of a script: on one core, Ray Data waits forever if a task needs another

# The workers take all cores of the cluster. The toolkit starts it again if the machine is too busy.
RAY = """
from frcnn_cli.engine.parts.ray_cluster import _connect
_connect(None, dict(num_cpus=1, include_dashboard=False, _node_ip_address="127.0.0.1"))
detect_with_ray({photos!r}, {out!r})
"""
SPARK = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
detect_with_spark(spark, {photos!r}, {out!r})
"""
DASK = """
import pathlib
import dask.dataframe
import pandas
paths = sorted(map(str, pathlib.Path({photos!r}).iterdir()))
images = pandas.DataFrame({{"id": paths, "path": paths}})
detect_with_dask(dask.dataframe.from_pandas(images, npartitions=2), {out!r})
"""


def snippets(language: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photographs in which voc finds objects, and a file that is not an image.

    In alphabetical order, the first image has no objects.
    """
    folder = tmp_path_factory.mktemp("scale") / "photos"
    folder.mkdir()
    Image.new("RGB", (SIDE, SIDE)).save(folder / "an-empty-one.jpg")
    (folder / f"{BAD}.jpg").write_bytes(b"nothing")
    for path in sorted(PHOTOS.glob("*.jpg"))[::2]:
        with Image.open(path) as photo:
            photo.thumbnail((SIDE, SIDE))
            photo.save(folder / path.name)
    return folder


@pytest.fixture(scope="module")
def expected(photos: Path) -> dict[str, Row]:
    """The rows of the command, by id."""
    command = ["detect", str(photos), "--model", "voc", "--parts", str(photos.parent / "found")]
    done = subprocess.run(
        [sys.executable, "-m", "frcnn_cli", *command],
        env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert f"{BAD}.jpg: cannot be read as an image" in done.stderr
    rows = {row.image_id: row for part in part_files(photos.parent / "found")
            for row in read_part(part)}  # fmt: skip
    assert [len(row) > 0 for row in rows.values()].count(True) == 2
    assert len(rows) == 4
    return rows


def run_script(code: str, photos: Path, tmp_path: Path) -> list[dict[str, Any]]:
    """The rows that a script writes after the functions of the page."""
    from pyarrow import parquet

    script, out = tmp_path / "script.py", tmp_path / "out"
    code = code.format(photos=str(photos), out=str(out))
    script.write_text("\n".join([*snippets("python"), code]))
    done = subprocess.run(
        [sys.executable, script], env=ENVIRONMENT, capture_output=True, text=True, check=False,
        timeout=LONGEST,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    files = sorted(out.glob("*.parquet"))
    assert len({str(parquet.read_schema(file).remove_metadata()) for file in files}) == 1
    return [row for file in files for row in parquet.read_table(file).to_pylist()]


def check(rows: list[dict[str, Any]], expected: dict[str, Row]) -> None:
    assert sorted(Path(row["id"]).stem for row in rows) == sorted(expected)
    for row in rows:
        of_command = expected[Path(row["id"]).stem]
        for name in ("boxes", "scores", "labels"):
            value = of_command.values[name]
            assert row[name] == (None if value is None else value.tolist())
        if of_command.error is None:
            assert row["error"] is None
        else:
            assert f"{BAD}.jpg: cannot be read as an image" in row["error"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("engine", "code"), [("ray", RAY), ("pyspark", SPARK), ("dask.dataframe", DASK)]
)
def test_an_engine_writes_what_the_command_writes(
    engine: str, code: str, photos: Path, expected: dict[str, Row], tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    pytest.importorskip(engine)
    if engine == "pyspark" and shutil.which("java") is None:
        pytest.skip("Spark needs a Java runtime")
    check(run_script(code, photos, tmp_path), expected)


def test_frames_as_spark_and_dask_give_them(photos: Path, expected: dict[str, Row]) -> None:
    pandas = pytest.importorskip("pandas")
    pyarrow = pytest.importorskip("pyarrow")
    torch = pytest.importorskip("torch")
    names: dict[str, Any] = {"__name__": "docs"}
    for snippet in snippets("python"):
        exec(compile(snippet, "docs/scale.md", "exec"), names)
    paths = sorted(photos.iterdir())
    frames = [pandas.DataFrame({"id": [str(path)], "bytes": [path.read_bytes()]}) for path in paths]
    frames.append(pandas.DataFrame({"id": list(map(str, paths)), "path": list(map(str, paths))}))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = list(names["detect_frames"](iter(frames)))
    finally:
        torch.set_num_threads(threads)
    # Spark and Dask convert the frames to Arrow.
    tables = [
        pyarrow.Table.from_pandas(frame, names["SCHEMA"], preserve_index=False) for frame in found
    ]
    rows = [row for table in tables for row in table.to_pylist()]
    check(rows[:4], expected)
    check(rows[4:], expected)
    assert [error is None for error in found[-1]["error"]] == [True, True, False, True]


def test_the_job_array(photos: Path, expected: dict[str, Row], tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("".join(f"{path}\n" for path in sorted(photos.iterdir())))
    script = snippets("bash")[0]
    (tmp_path / "frcnn").write_text('#!/bin/bash\nexec "$PYTHON" -m frcnn_cli "$@"\n')
    (tmp_path / "frcnn").chmod(0o755)
    for task in ("1", "2"):
        environment = {
            **ENVIRONMENT,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "PYTHON": sys.executable,
            "SLURM_CPUS_PER_TASK": "1",
            "SLURM_ARRAY_TASK_ID": task,
            "SLURM_ARRAY_TASK_COUNT": "2",
        }
        subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, check=False)
    rows = [row for part in part_files(tmp_path / "found") for row in read_part(part)]
    check([{**row.values, **_lists(row)} for row in rows], expected)


def _lists(row: Row) -> dict[str, Any]:
    arrays = {name: row.values[name] for name in ("boxes", "scores", "labels")}
    return {name: None if value is None else value.tolist() for name, value in arrays.items()}
