"""A drawing made ready to stand in a page: no style attributes, no colours of its own, nothing that loads."""

import re
from typing import NamedTuple
from xml.etree import ElementTree

from strategyrun.reporting.palette import LIGHT

_XLINK = "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+\.\d+")
_COLOURS = {colour: f"var(--{name})" for name, colour in LIGHT.items()}
_COLOUR = re.compile("|".join(_COLOURS))
_FONT_FAMILY = re.compile(r"font-family:[^;]*(;|$)\s*")


class Drawing(NamedTuple):
    """Markup for a page, and the rules that its classes need."""

    markup: str
    css: str


def inline(svg: bytes, label: str) -> Drawing:
    """Turn a drawing of matplotlib's into markup whose colours are the page's; `label` says what it shows."""
    root = ElementTree.fromstring(svg)  # noqa: S314 - matplotlib wrote it and has escaped every text
    classes: dict[str, str] = {}
    used = {value for element in root.iter() for value in _references(element)}
    for element in root.iter():
        _tidy(element, classes, used)
    for parent in root.iter():
        for child in [child for child in parent if child.tag in ("style", "metadata")]:
            parent.remove(child)
    root.attrib = {"viewBox": root.attrib["viewBox"], "class": "chart", "role": "img", "aria-label": label}
    css = "".join(f".{name}{{{_page_colours(style)}}}\n" for style, name in classes.items())
    return Drawing(ElementTree.tostring(root, encoding="unicode"), css)


def _references(element: ElementTree.Element) -> list[str]:
    path = element.get("clip-path", "")
    return [element.get(_XLINK, "").lstrip("#"), path.removeprefix("url(#").removesuffix(")")]


def _tidy(element: ElementTree.Element, classes: dict[str, str], used: set[str]) -> None:
    element.tag = element.tag.rpartition("}")[2]
    element.tail = None
    if element.text is not None and not element.text.strip():
        element.text = None
    attributes = element.attrib
    if _XLINK in attributes:
        attributes["href"] = attributes.pop(_XLINK)
    if attributes.get("id") not in used:
        attributes.pop("id", None)
    if "d" in attributes:
        attributes["d"] = _short(attributes["d"])
    if attributes.get("transform", "").startswith("rotate(-0 "):
        del attributes["transform"]
    if style := attributes.pop("style", ""):
        attributes["class"] = classes.setdefault(style, f"s{len(classes)}")


def _short(path: str) -> str:
    """Write coordinates with one decimal: a tenth of a point is less than a pixel."""
    return _NUMBER.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), " ".join(path.split()))


def _page_colours(style: str) -> str:
    return _COLOUR.sub(lambda found: _COLOURS[found[0]], _FONT_FAMILY.sub("", style))
