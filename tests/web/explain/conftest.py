"""Pages that explain a generated image, in Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from browser import Browser
from explained_page import open_page
from made_up_subject import made_up_subject

from frcnn_cli.engine.pages.explain.page import explain_subject, write_page
from frcnn_cli.engine.pages.explain.subject import Subject


class Explained(NamedTuple):
    """A page with the subject that it shows and its numbers."""

    page: Path
    subject: Subject
    numbers: dict[str, Any]


def _write(factory: pytest.TempPathFactory, **kind: bool) -> Explained:
    subject = made_up_subject(**kind)
    numbers = explain_subject(subject)
    folder = factory.mktemp("explain")
    return Explained(write_page(subject, numbers, folder, "voc", "dense"), subject, numbers)


@pytest.fixture(scope="session")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Explained:
    """A page with ground truth, by the paper's network."""
    return _write(tmp_path_factory)


@pytest.fixture(scope="session")
def explained_cascade(tmp_path_factory: pytest.TempPathFactory) -> Explained:
    """A page without ground truth, by a network with a ranker and a second head."""
    return _write(tmp_path_factory, has_truth=False, cascade=True, ranker=True)


@pytest.fixture
def opened(chromium: Browser, explained: Explained) -> Browser:
    """The page `explained`, ready, with the first proposal chosen."""
    return open_page(chromium, explained.page)


@pytest.fixture
def opened_cascade(chromium: Browser, explained_cascade: Explained) -> Browser:
    """The page `explained_cascade`, ready, with the first proposal chosen."""
    return open_page(chromium, explained_cascade.page)
