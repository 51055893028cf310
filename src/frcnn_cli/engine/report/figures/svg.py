"""Matplotlib's SVG made fit to stand inside a page: its colours, its font, no styles of its own.

Styles become attributes, since a strict content security policy forbids the former.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree

from markupsafe import Markup

_SVG = "http://www.w3.org/2000/svg"
_LINK = "{http://www.w3.org/1999/xlink}href"
_DROPPED = ("metadata", "style")
_REFERENCE = re.compile(r"url\(#([^)]*)\)")


def inline_svg(text: str, name: str, alt: str, colours: Mapping[str, str]) -> Markup:
    """An SVG document as an element for a page.

    name: put before every id, so that those of two plots differ. alt: its label for those who
    do not see it. colours: what to write in place of a colour such as '#1d2125'.
    """
    root = ElementTree.fromstring(text)
    for element in root.iter():
        for child in [each for each in element if _tag(each) in _DROPPED]:
            element.remove(child)
    for element in root.iter():
        element.tag = _tag(element)
        _style_to_attributes(element)
        _rewrite(element, name, colours)
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.attrib |= {"role": "img", "aria-label": alt, "class": "plot"}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _tag(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _style_to_attributes(element: ElementTree.Element) -> None:
    for declaration in element.attrib.pop("style", "").split(";"):
        key, _, value = declaration.partition(":")
        key, value = key.strip(), value.strip()
        if key == "font":
            size = re.search(r"([\d.]+)px", value)
            element.attrib["font-size"] = size.group(1) if size else "10"
            if "bold" in value or re.search(r"\b700\b", value):
                element.attrib["font-weight"] = "bold"
        elif key and not key.startswith("font-family"):
            element.attrib[key] = value


def _rewrite(element: ElementTree.Element, name: str, colours: Mapping[str, str]) -> None:
    if _tag(element) == "g":
        element.attrib.pop("id", None)
    for key, value in list(element.attrib.items()):
        if key == "id":
            element.attrib[key] = f"{name}-{value}"
        elif key == _LINK:
            del element.attrib[key]
            element.attrib["href"] = f"#{name}-{value.removeprefix('#')}"
        elif key in ("fill", "stroke"):
            element.attrib[key] = colours.get(value, value)
        elif "url(" in value:
            element.attrib[key] = _REFERENCE.sub(rf"url(#{name}-\1)", value)
