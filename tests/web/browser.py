"""A page in headless Chromium."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WIDE, NARROW = (1280, 900), (360, 740)


class Browser:
    """A page open in Chromium, and what the tests ask of it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path, size: tuple[int, int] = WIDE, scheme: str = "light") -> None:
        """Load a page in a window of `size` where the system prefers `scheme`."""
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
        # The driver may answer while the page is still being read, and for an address that is open
        # already the old page, too, says that it is complete: so it is left first.
        from selenium.webdriver.support.wait import WebDriverWait

        self.driver.get("about:blank")
        self.driver.get(page.as_uri())
        loaded = [page.as_uri(), "complete"]
        WebDriverWait(self.driver, timeout=60, poll_frequency=0.01).until(
            lambda _: self.run("return [location.href, document.readyState]") == loaded
        )

    def cdp(self, command: str, **arguments: Any) -> Any:
        """A command of Chromium's own protocol."""
        return self.driver.execute_cdp_cmd(command, arguments)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script in the page returns."""
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[Any]:
        """The elements that are seen."""
        found = self.driver.find_elements("css selector", selector)
        return [element for element in found if element.is_displayed()]

    def one(self, selector: str) -> Any:
        """The first element of a selector."""
        return self.driver.find_element("css selector", selector)

    def click(self, element: Any) -> None:
        """Click an element in the middle of the window, clear of the bar on top."""
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def press(self, *keys: str) -> None:
        """Type to whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def force_font(self, family: str) -> None:
        """Show everything on the page in one font; a missing one is replaced by the browser's own.

        The page's policy bars style elements, but not sheets that a script constructs.
        """
        self.run(
            "const sheet = new CSSStyleSheet();"
            "sheet.replaceSync(arguments[0]);"
            "document.adoptedStyleSheets = [sheet];",
            f"*, ::before, ::after {{ font-family: '{family}' !important }}",
        )

    def fonts(self, selector: str) -> set[str]:
        """The families that the text of a selector's first element is drawn with."""
        self.run("document.body.offsetWidth")  # lays the page out: Chromium's answer may be older
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

    def errors(self) -> list[str]:
        """What the console has said since it was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses asked for since this was last asked."""
        messages = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]
