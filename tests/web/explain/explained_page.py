"""Operations on a page that explains an image, and its texts as numbers."""

from __future__ import annotations

from pathlib import Path

from browser import NARROW, WIDE, Browser


def open_page(chromium: Browser, page: Path, narrow: bool = False, dark: bool = False) -> Browser:
    """Open a page, and wait until its sections are drawn."""
    from selenium.webdriver.support.wait import WebDriverWait

    chromium.open(page, NARROW if narrow else WIDE, "dark" if dark else "light")
    WebDriverWait(chromium.driver, timeout=60, poll_frequency=0.01).until(
        lambda _: chromium.run("return 'ready' in document.body.dataset")
    )
    return chromium


def shown(text: str) -> float:
    """A number of the page."""
    return float(text.replace("−", "-"))


def table(browser: Browser, selector: str) -> list[list[str]]:
    """The texts of all cells of a table or its body."""
    texts: list[list[str]] = browser.run(
        "return [...document.querySelectorAll(arguments[0] + ' tr')]"
        ".map(row => [...row.cells].map(cell => cell.textContent))",
        selector,
    )
    return texts


def set_value(browser: Browser, selector: str, value: int) -> None:
    """Set an input or a list to a value, as a user does."""
    browser.run(
        "const e = document.querySelector(arguments[0]); e.value = arguments[1];"
        "e.dispatchEvent(new Event('input', {bubbles: true}))",
        selector,
        value,
    )
