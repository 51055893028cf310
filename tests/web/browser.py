"""A page in headless Chromium."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WIDE, NARROW = (1280, 900), (360, 740)


class Browser:
    """A page that is open in Chromium, with the operations that the tests use."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path, size: tuple[int, int] = WIDE, scheme: str = "light") -> None:
        """Load a page in a window of `size` on a system that prefers `scheme`."""
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            width=size[0],
            height=size[1],
            deviceScaleFactor=1,
            mobile=size == NARROW,
        )
        self.cdp(
            "Emulation.setEmulatedMedia",
            features=[
                {"name": "prefers-color-scheme", "value": scheme},
                {"name": "prefers-reduced-motion", "value": "reduce"},
            ],
        )
        # The driver may return while the page is still loading. If the same address is already
        # open, the old page also reports that it is complete; so it is closed first.
        from selenium.webdriver.support.wait import WebDriverWait

        self.driver.get("about:blank")
        self.driver.get(page.as_uri())
        loaded = [page.as_uri(), "complete"]
        WebDriverWait(self.driver, timeout=60, poll_frequency=0.01).until(
            lambda _: self.run("return [location.href, document.readyState]") == loaded
        )

    def cdp(self, command: str, **arguments: Any) -> Any:
        """Execute a command of the Chrome DevTools Protocol."""
        return self.driver.execute_cdp_cmd(command, arguments)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page, and return its result."""
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[Any]:
        """The visible elements of a selector."""
        found = self.driver.find_elements("css selector", selector)
        return [element for element in found if element.is_displayed()]

    def one(self, selector: str) -> Any:
        """The first element of a selector."""
        return self.driver.find_element("css selector", selector)

    def click(self, element: Any) -> None:
        """Scroll an element to the middle of the window, away from the top bar, and click it."""
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def press(self, *keys: str) -> None:
        """Send keys to the element that has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def force_font(self, family: str) -> None:
        """Show all text in one font; the browser replaces a missing font with its default.

        The page's policy blocks style elements, but not style sheets constructed by a script.
        """
        self.run(
            "const sheet = new CSSStyleSheet();"
            "sheet.replaceSync(arguments[0]);"
            "document.adoptedStyleSheets = [sheet];",
            f"*, ::before, ::after {{ font-family: '{family}' !important }}",
        )

    def fonts(self, selector: str) -> set[str]:
        """The font families used to draw the text of a selector's first element."""
        self.run("document.body.offsetWidth")  # forces a layout; Chromium's answer may be outdated
        for domain in ("DOM", "CSS"):
            self.cdp(f"{domain}.enable")
        root = self.cdp("DOM.getDocument")["root"]["nodeId"]
        node = self.cdp("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        used = self.cdp("CSS.getPlatformFontsForNode", nodeId=node)["fonts"]
        return {font["familyName"] for font in used}

    def column(self, table: str, index: int) -> list[str]:
        """The texts of a column's visible cells."""
        texts: list[str] = self.run(
            "return [...document.querySelectorAll(arguments[0] + ' tbody tr')]"
            ".filter(row => !row.hidden).map(row => row.cells[arguments[1]].textContent.trim())",
            table,
            index,
        )
        return texts

    def busy_seconds(self) -> float:
        """The processor time of the open page's main thread, which other processes do not change.

        It counts from the load of the page, which has a process of its own.
        """
        self.cdp("Performance.enable")
        metrics = self.cdp("Performance.getMetrics")["metrics"]
        return float(next(each["value"] for each in metrics if each["name"] == "ThreadTime"))

    def errors(self) -> list[str]:
        """The console messages since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The requested addresses since the last call."""
        messages = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]
