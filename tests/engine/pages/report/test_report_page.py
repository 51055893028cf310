"""The page as a document: its content, its requests, and the escaping of names."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import PIL.Image
import pytest
from made_up_report import CLASSES, IDS, made_up_dataset, made_up_report

from frcnn_cli.engine.pages.report.page import write_report


class Document(HTMLParser):
    """The elements with attributes, the text, and the content of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.inside = "", {"script": "", "style": ""}
        self._tag = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""

    def handle_data(self, data: str) -> None:
        if self._tag in self.inside:
            self.inside[self._tag] += data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module", params=[1, 2])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(made_up_report(made_up_dataset(folder), request.param), folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def document(folder: Path) -> Document:
    return Document((folder / "index.html").read_text(encoding="utf-8"))


def test_names_are_escaped(document: Document) -> None:
    assert len(document.all("script")) == 1
    assert len(document.all("style")) == 1
    for name in (*CLASSES, *IDS[:1]):
        assert name in document.text
    for tag, attributes in document.elements:
        assert tag not in ("b", "i") or not attributes.get("onerror")
        assert not [key for key in attributes if key.startswith("on")], (tag, attributes)
    assert not [image for image in document.all("img") if image.get("src") == "x"]
    assert "<i>chip</i>" in document.text


def test_it_requests_nothing(document: Document) -> None:
    for tag, attributes in document.elements:
        for key in ("src", "href", "srcset", "action", "poster", "data"):
            value = attributes.get(key)
            assert value is None or value.startswith(("#", "data:")), (tag, key, value)
    assert "url(" not in document.inside["style"]
    assert "@import" not in document.inside["style"]


def test_its_policy_names_its_own_style_and_script(document: Document) -> None:
    (policy,) = (m["content"] for m in document.all("meta") if "http-equiv" in m)
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        digest = hashlib.sha256(document.inside[tag].encode()).digest()
        assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert not [attributes for _, attributes in document.elements if "style" in attributes]


def test_every_image_has_a_description(document: Document) -> None:
    images = document.all("img")
    assert len(images) > 30
    for image in images:
        assert re.match(
            r"Image .+Objects: .+Right detections: .+Wrong detections: .+",
            image["alt"] or "",
            re.DOTALL,
        )
    plots = [svg for svg in document.all("svg") if svg.get("role") == "img"]
    assert len(plots) >= len(CLASSES) + 3
    assert all(svg["aria-label"] for svg in plots)
    assert all(
        s.get("role") == "img" or s.get("aria-hidden") == "true" for s in document.all("svg")
    )


def test_the_plots_are_separate_files(folder: Path) -> None:
    names = {path.name for path in folder.glob("*.png")}
    assert names == {
        "average-precision.png",
        "errors.png",
        "precision-recall.png",
        "time-by-stage.png",
        "training-loss.png",
        "training-map.png",
    }
    for name in names:
        with PIL.Image.open(folder / name) as plot:
            assert min(plot.size) > 300


def test_precision_recall_and_confusions_are_at_the_threshold(document: Document) -> None:
    assert re.search(
        r"etections with a score of at least 0\.5: \d+, of which \d+ are right", document.text
    )
    matrices = [table for table in document.all("table") if "confusion" in (table["class"] or "")]
    assert len(matrices) == (2 if "versus" in document.text else 1)


def test_differences_have_margins(document: Document) -> None:
    margins = re.findall(r"[−+]?\d+\.\d to [−+]?\d+\.\d", document.text)
    # Of both VOC averages, and of every class.
    assert len(margins) == (2 + len(CLASSES) if "versus" in document.text else 0)


def test_words_of_a_caption_are_apart(document: Document) -> None:
    assert "mistakes" in document.text or "versus" not in document.text
    assert not re.search(r"\wmistakes|\wgained|\wlost", document.text)


def test_omissions_are_stated(document: Document) -> None:
    assert re.search(r"Shown\s+\d+ of \d+ right detections, \d+ of \d+ mistakes", document.text)
