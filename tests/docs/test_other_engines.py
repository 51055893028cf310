"""The snippets of docs/scale.md for other engines, as far as the engines are installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import frcnn
from frcnn_cli.engine.parts.files import read_part
from frcnn_cli.engine.parts.folder import part_files

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the Python snippets define."""
    defined: dict[str, Any] = {"__name__": "__main__"}  # as in a script, so that Ray sends them
    snippets = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(snippets) == 3
    for snippet in snippets:
        exec(compile(snippet, "docs/scale.md", "exec"), defined)
    return defined


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("scale")
    frcnn.generate_dataset(folder / "shapes", 8, size=(128, 96))
    (folder / "photos").mkdir()
    for path in sorted((folder / "shapes" / "JPEGImages").iterdir())[:3]:
        path.rename(folder / "photos" / path.name)
    paths = sorted((folder / "photos").iterdir())
    paths[1].write_bytes(b"nothing")
    return paths


def expected(names: dict[str, Any], photos: list[Path]) -> list[dict[str, Any]]:
    columns = names["detector"]({"id": list(map(str, photos)), "path": list(map(str, photos))})
    return [
        {key: value.tolist() if hasattr(value, "tolist") else value for key, value in row.items()}
        for row in ({key: columns[key][n] for key in columns} for n in range(len(photos)))
    ]


def test_frames_as_spark_and_dask_give_them(names: dict[str, Any], photos: list[Path]) -> None:
    pandas = pytest.importorskip("pandas")
    pyarrow = pytest.importorskip("pyarrow")
    frames = [
        pandas.DataFrame({"id": [str(path)], "bytes": [path.read_bytes()]}) for path in photos
    ]
    frames.append(pandas.DataFrame({"id": list(map(str, photos)), "path": list(map(str, photos))}))
    kinds = {
        "id": pyarrow.string(),
        "boxes": pyarrow.list_(pyarrow.list_(pyarrow.float32())),
        "scores": pyarrow.list_(pyarrow.float32()),
        "labels": pyarrow.list_(pyarrow.int64()),
        "error": pyarrow.string(),
    }
    rows = []
    for frame in names["detect_frames"](iter(frames)):
        # Spark and Dask convert the frames to Arrow.
        table = pyarrow.Table.from_pandas(frame, pyarrow.schema(kinds), preserve_index=False)
        rows += table.to_pylist()
    one, bad, three = expected(names, photos)
    assert rows == [one, {**bad, "error": rows[1]["error"]}, three, one, bad, three]
    assert "cannot be read as an image" in rows[1]["error"]


def test_the_job_array(photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("".join(f"{path}\n" for path in photos))
    script = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    (tmp_path / "frcnn").write_text('#!/bin/bash\nexec "$PYTHON" -m frcnn_cli "$@"\n')
    (tmp_path / "frcnn").chmod(0o755)
    for task in ("1", "2"):
        environment = {
            **os.environ,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "PYTHON": sys.executable,
            "SLURM_CPUS_PER_TASK": "1",
            "SLURM_ARRAY_TASK_ID": task,
            "SLURM_ARRAY_TASK_COUNT": "2",
        }
        subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, check=False)
    rows = [row for part in part_files(tmp_path / "found") for row in read_part(part)]
    assert sorted(row.image_id for row in rows) == [path.stem for path in photos]
    assert [row.image_id for row in rows if row.error] == [photos[1].stem]


@pytest.mark.long
def test_ray_data(names: dict[str, Any], photos: list[Path], tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    parquet = pytest.importorskip("pyarrow.parquet")
    ray.init("local", num_cpus=1, include_dashboard=False, _node_ip_address="127.0.0.1")
    try:
        names["detect_with_ray"](str(photos[0].parent), str(tmp_path / "out"))
    finally:
        ray.shutdown()
    rows = sorted(parquet.read_table(tmp_path / "out").to_pylist(), key=lambda row: row["id"])
    one, _, three = expected(names, photos)
    assert [row["boxes"] for row in rows] == [one["boxes"], None, three["boxes"]]
    assert [row["error"] is None for row in rows] == [True, False, True]
