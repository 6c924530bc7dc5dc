"""A run as one HTML file."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

from strategyrun.reporting import words
from strategyrun.reporting.material import Material
from strategyrun.reporting.rendering import Form, render

Make = Callable[..., Material]
LOADS = {"src", "srcset", "action", "formaction", "data", "poster", "background", "ping", "style"}
EVIL = "<script>alert(1)</script>\u202e\"'><img src=http://evil.example/x onerror=alert(1)>"


class Elements(HTMLParser):
    """What a browser would see: the tags with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take down a tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Take down a text."""
        self.texts.append(data)


def page_of(material: Material) -> str:
    """Render a page and check what holds for every one: it loads nothing and runs nothing."""
    page = render(material, Form.PAGE).decode()
    elements = Elements(page)
    for tag, attributes in elements.tags:
        assert tag not in {
            "script",
            "iframe",
            "object",
            "embed",
            "link",
            "base",
            "form",
            "img",
            "image",
            "foreignobject",
        }
        assert not LOADS & attributes.keys()
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    css = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert css is not None
    assert "url(" not in css[1]
    assert "@import" not in css[1]
    policy = next(a["content"] or "" for t, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy")
    digest = b64encode(hashlib.sha256(css[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return page


def test_it_holds_the_numbers_the_drawing_and_the_trades(thirteen_years: Any, material: Make) -> None:
    """All in one file of moderate size that names no other."""
    page = page_of(material(thirteen_years))
    assert len(page) < 600_000
    assert "http" not in page.replace("http-equiv", "")
    text = " ".join(Elements(page).texts)
    for name in ("sharpe", "cagr", "maxDrawdown"):
        assert words.METRICS[name][1](thirteen_years.metrics[name]) in text
    assert "<svg" in page
    assert "AAPL" in text
    assert f"Show all {len(thirteen_years.document['trades'])}" in text
    assert "c0de" * 16 in text


def test_its_colours_are_those_of_the_reader(thirteen_years: Any, material: Make) -> None:
    """The drawing names no colour: light and dark are one set of variables each."""
    page = page_of(material(thirteen_years))
    assert "prefers-color-scheme:dark" in page
    drawing = page[page.index("<svg") : page.index("</svg>")]
    assert not re.search(r"#[0-9a-f]{6}\b", drawing)
    rules = page[page.index("<style>") : page.index("</style>")]
    assert not re.search(r"\.s\d+\{[^}]*#[0-9a-f]{6}", rules)


def test_trades_are_the_latest_first_and_at_most_200(thirteen_years: Any, material: Make) -> None:
    """Thousands of rows help nobody."""
    answered = thirteen_years._replace(
        document=thirteen_years.document | {"trades": thirteen_years.document["trades"] * 3}
    )
    page = page_of(material(answered))
    listed = page[page.index("<summary>") :]
    assert f"the last 200 of {3 * len(thirteen_years.document['trades'])}" in listed
    closed = re.findall(r'class="day">([-0-9]+)</td><td class="number">', listed)
    assert len(closed) == 200
    assert closed == sorted(closed, reverse=True)


def test_hostile_texts_stay_texts(thirteen_years: Any, material: Make, rename: Callable[..., Any]) -> None:
    """Names, warnings, notes: whatever they hold, nothing of it becomes an element or turns the text around."""
    answered = rename(thirteen_years, "AAPL", EVIL)
    found = {"samples": 5, "checked": 5, "changed": 2, "firstDate": EVIL, "symbol": EVIL}
    page = page_of(
        material(
            answered, warnings=[EVIL, f"sharpe: {EVIL}"], lookAhead=found, provenance={"node": EVIL, "imageID": EVIL}
        )
    )
    assert "&lt;script&gt;alert(1)" in page
    assert "\u202e" not in page


def test_hostile_last_lines_stay_texts(failed: dict[str, Any]) -> None:
    """And the failure says who has to do what."""
    failed["status"]["failure"]["lastLines"] = [EVIL]
    failed["status"]["message"] = EVIL
    page = page_of(Material.read(failed, None))
    assert "&lt;script&gt;alert(1)" in page
    assert "\u202e" not in page
    assert "Failed (StrategyError)" in page
    assert "Read the traceback" in page
    assert "<svg" not in page


def test_a_symbol_is_written_as_it_is(thirteen_years: Any, material: Make, rename: Callable[..., Any]) -> None:
    """Chinese characters are the browser's to draw, and a dollar sign begins no formula."""
    for name in ("台積電", r"$\alpha$", "a&b"):
        page = page_of(material(rename(thirteen_years, "AAPL", name)))
        assert name in Elements(page[page.index("<svg") : page.index("</svg>")]).texts


def test_self_reported_numbers_are_marked(run_of: Callable[..., dict[str, Any]]) -> None:
    """Nobody takes them for the evaluator's."""
    told = {"source": "SelfReported", "values": {"sharpe": 9.5, "<b>": 1}}
    page = page_of(Material.read(run_of(kind="Result", selfReported=told, lookAhead=None, conditions=[]), None))
    assert "SELF-REPORTED" in page
    assert "&lt;b&gt;" in page


def test_without_the_full_report_it_says_so(thirteen_years: Any, material: Make) -> None:
    """And draws the points of the status."""
    page = page_of(material(thirteen_years, full=False))
    assert "The full report is not here: <bdi>ConfigMap x is gone</bdi>." in page
    assert "<svg" in page


def test_awkward_accounts_are_drawn(awkward: Any, material: Make) -> None:
    """Cash, one day, ruin and riches."""
    assert "<svg" in page_of(material(awkward))
