"""`frcnn data download` from a local server, in this process and in interrupted children."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import PIL.Image
import pytest
from click.testing import CliRunner, Result
from hostile_server import Request, serving
from reporters import RecordingReporter

from frcnn_cli.cli import cli
from frcnn_cli.engine.datasets.download import known
from frcnn_cli.engine.datasets.download.dataset import (
    DownloadedDataset,
    check_disk_space,
    download_dataset,
    folders_of,
)
from frcnn_cli.engine.datasets.download.known import Archive, Download
from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_proposals.errors import InputError

XML = (
    "<annotation><size><width>20</width><height>20</height></size><object><name>cat</name>"
    "<bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
)
CHILD = """
from frcnn_cli.engine.datasets.download import known
from frcnn_cli.engine.datasets.download.known import Archive
known.DOWNLOADS["voc2007"] = known.Download(
    "voc2007", "VOC2007", ("trainval", "test"), {archives!r}, ({mirror!r},)
)
from frcnn_cli.cli import main
main()
"""


def voc_tar(splits: dict[str, list[str]], padding: int = 0) -> bytes:
    """Create an archive like the official ones: lists, annotations and images of splits."""
    image = io.BytesIO()
    PIL.Image.new("RGB", (20, 20), "green").save(image, "JPEG")
    files = {}
    for split, ids in splits.items():
        files[f"ImageSets/Main/{split}.txt"] = "\n".join(ids).encode()
        for name in ids:
            files[f"Annotations/{name}.xml"] = XML.encode()
            files[f"JPEGImages/{name}.jpg"] = image.getvalue() + bytes(padding)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"VOCdevkit/VOC2007/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def archive_of(name: str, content: bytes) -> Archive:
    return Archive(name, len(content), hashlib.sha256(content).hexdigest())


TARS = {
    "trainval.tar": voc_tar({"trainval": ["000001", "000002"]}, padding=200_000),
    "test.tar": voc_tar({"test": ["000003"]}),
}
ARCHIVES = tuple(archive_of(name, content) for name, content in TARS.items())


def send_archive(request: Request) -> None:
    request.send_content(TARS[request.path.rpartition("/")[2]])


def download(root: Path, *arguments: str, code: int = 0) -> str:
    options = ["data", "download", "voc2007", "--data-root", str(root), *arguments]
    result: Result = CliRunner().invoke(cli, options)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace voc2007 by a dataset of three images."""
    replacement = Download("voc2007", "VOC2007", ("trainval", "test"), ARCHIVES, ())
    monkeypatch.setitem(known.DOWNLOADS, "voc2007", replacement)


@pytest.mark.usefixtures("small")
def test_a_dataset_is_downloaded_unpacked_and_found(tmp_path: Path) -> None:
    with serving(send_archive) as (address, starts):
        assert "Next: `frcnn train voc2007" in download(tmp_path, "--mirror", address)
        assert "already exists" in download(tmp_path, "--mirror", address)
    assert starts == [0, 0]
    trainval = find_dataset("voc2007", "trainval", tmp_path)
    assert [record.image_id for record in trainval.images] == ["000001", "000002"]
    assert len(trainval.classes) == 20
    assert find_dataset("voc2007", "test", tmp_path).images[0].truth is not None
    assert {path.name for path in tmp_path.rglob("*") if path.is_dir()} == {
        "VOCdevkit", "VOC2007", "ImageSets", "Main", "Annotations", "JPEGImages",
    }  # fmt: skip


@pytest.mark.usefixtures("small")
def test_a_second_download_waits_for_the_first(tmp_path: Path) -> None:
    """The first stops in the middle of its work until the second has come."""
    started, second_waits = threading.Event(), threading.Event()
    results: list[DownloadedDataset] = []

    def hold() -> None:
        started.set()
        assert second_waits.wait(30)

    class Second(RecordingReporter):
        def note(self, text: str) -> None:
            super().note(text)
            second_waits.set()

    second = Second()

    def run(address: str, reporter: RecordingReporter) -> None:
        results.append(download_dataset("voc2007", tmp_path, [address], reporter=reporter))

    with serving(send_archive) as (address, starts):
        threads = [threading.Thread(target=run, args=(address, RecordingReporter(hold)))]
        threads[0].start()
        assert started.wait(30)
        threads.append(threading.Thread(target=run, args=(address, second)))
        threads[1].start()
        for thread in threads:
            thread.join(60)
    assert sorted(result.existed for result in results) == [False, True]
    assert "another process is downloading" in second.notes[0]
    assert starts == [0, 0]
    assert len(list((tmp_path / "VOCdevkit" / "VOC2007" / "Annotations").iterdir())) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["VOCdevkit"]


@pytest.mark.usefixtures("small")
def test_a_folder_with_the_name_of_unfinished_work_is_not_deleted(tmp_path: Path) -> None:
    foreign = tmp_path / "VOCdevkit" / ".VOC2007.partial" / "notes.txt"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("precious")
    with serving(send_archive) as (address, _):
        download(tmp_path, "--mirror", address)
    assert foreign.read_text() == "precious"


@pytest.mark.usefixtures("small")
def test_archives_are_kept_on_request_and_used_again(tmp_path: Path) -> None:
    devkit = tmp_path / "VOCdevkit"
    with serving(send_archive) as (address, _):
        download(devkit, "--mirror", address, "--keep-archives")
    assert (devkit / "VOC2007").is_dir()
    (devkit / "VOC2007").rename(tmp_path / "away")
    download(devkit, "--mirror", "http://127.0.0.1:9")
    assert (devkit / "VOC2007").is_dir()
    assert not (devkit / "downloads").exists()


@pytest.mark.usefixtures("small")
def test_nothing_is_unpacked_before_its_checksum_is_verified(tmp_path: Path) -> None:
    correct = TARS["test.tar"]
    wrong = correct.replace(b"000003", b"000004")
    assert len(wrong) == len(correct)

    def answer(request: Request) -> None:
        name = request.path.rpartition("/")[2]
        request.send_content(wrong if name == "test.tar" else TARS[name])

    with serving(answer) as (address, _):
        assert "SHA-256" in download(tmp_path, "--mirror", address, code=1)
    assert not (tmp_path / "VOCdevkit").exists()
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == ["trainval.tar"]


@pytest.mark.parametrize(
    ("evil", "reason"),
    [
        (voc_tar({"test": ["../../../../../000003"]}), "leads out"),
        (voc_tar({"train": ["000003"]}), "with split test"),
        (TARS["test.tar"].replace(b"JPEGImages/", b"JPEGimages/"), "damaged"),
    ],
)
def test_a_bad_archive_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evil: bytes, reason: str
) -> None:
    """Its checksum is correct, but its content is not."""
    replacement = Download("voc2007", "VOC2007", ("test",), (archive_of("test.tar", evil),), ())
    monkeypatch.setitem(known.DOWNLOADS, "voc2007", replacement)
    with serving(lambda request: request.send_content(evil)) as (address, _):
        output = download(tmp_path, "--mirror", address, code=1)
    assert reason in output
    assert list((tmp_path / "VOCdevkit").iterdir()) == []


@pytest.mark.usefixtures("small")
def test_an_existing_folder_with_other_content_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "VOCdevkit" / "VOC2007").mkdir(parents=True)
    assert "exists, but has no split trainval, test" in download(tmp_path, code=1)


def test_invalid_arguments_are_rejected() -> None:
    for arguments in (["voc1999"], ["voc2007", "--mirror", "file:///etc"]):
        assert CliRunner().invoke(cli, ["data", "download", *arguments]).exit_code == 2


def test_the_disk_space_is_checked_first(tmp_path: Path) -> None:
    huge = Download("voc2007", "VOC2007", ("test",), (Archive("a.tar", 1 << 60, "0"),), ())
    with pytest.raises(InputError, match=r"needs 2305843009.* GB for unpacking"):
        check_disk_space(huge, folders_of(huge, tmp_path / "not" / "yet"))


def test_ctrl_c_keeps_the_partial_file_and_the_next_call_resumes(tmp_path: Path) -> None:
    def slowly(request: Request) -> None:
        """Send half of the archive, then nothing while the client waits."""
        request.send_content(TARS["trainval.tar"], cut=150_000)
        request.wfile.flush()
        request.rfile.read(1)

    root = tmp_path / "data"
    partial = root / "downloads" / "trainval.tar.partial"
    with serving(slowly) as (address, _):
        child = _start(root, address)
        deadline = time.monotonic() + 120
        while not (partial.is_file() and partial.stat().st_size >= 65_536):
            assert time.monotonic() < deadline
            assert child.poll() is None, child.communicate()[0]
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        output, _ = child.communicate(timeout=120)
    assert child.returncode == 130, output
    assert "run the same command to resume" in output
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["trainval.tar.partial"]
    size = partial.stat().st_size
    assert TARS["trainval.tar"].startswith(partial.read_bytes())
    with serving(send_archive) as (address, starts):
        child = _start(root, address)
        output, _ = child.communicate(timeout=120)
    assert child.returncode == 0, output
    assert starts == [size, 0]
    assert len(find_dataset("voc2007", "trainval", root)) == 2


def _start(root: Path, address: str) -> subprocess.Popen[str]:
    code = CHILD.format(archives=ARCHIVES, mirror=address)
    return subprocess.Popen(
        [sys.executable, "-c", code, "data", "download", "voc2007", "--data-root", str(root)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
