"""Reports in headless Chromium. Skipped if it is not installed, except by `make test-web`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser
from made_up_report import made_up_dataset, made_up_report, report_of_long_names

from frcnn_cli.engine.pages.report.page import write_report

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-quic",
    "--hide-scrollbars",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.web)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    missing = _missing()
    if missing and os.environ.get("FRCNN_WEB"):
        pytest.fail(f"{missing}, but FRCNN_WEB requires the browser tests")
    if missing:
        pytest.skip(f"{missing}: `make test-web` installs the requirements of these tests")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield Browser(driver)
    finally:
        driver.quit()


def _missing() -> str | None:
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed"
    return None


@pytest.fixture(scope="session")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on one detector."""
    return _write(tmp_path_factory, subjects=1)


@pytest.fixture(scope="session")
def double(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on two detectors."""
    return _write(tmp_path_factory, subjects=2)


@pytest.fixture(scope="session")
def long_names(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on two detectors and on proposals, with long names and numbers everywhere."""
    folder = tmp_path_factory.mktemp("web")
    return write_report(report_of_long_names(folder), folder / "out")


def _write(tmp_path_factory: pytest.TempPathFactory, subjects: int) -> Path:
    folder = tmp_path_factory.mktemp("web")
    return write_report(made_up_report(made_up_dataset(folder), subjects), folder / "out")
