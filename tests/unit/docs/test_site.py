"""The site: it builds from what is here without a warning, has every page in its navigation, and loads nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.cluster import CHECKOUT

REMOTE = re.compile(
    r"""<(?:script|img|iframe|source|link(?! [^>]*rel="?canonical))\b[^>]*\b(?:src|href)=["']?(?:https?:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "--quiet", "build", "--strict", "--site-dir", str(target)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return target


def test_every_page_is_built(site: Path) -> None:
    """A page that is not in the navigation is a warning, and so is an entry without its page; strict stops at both."""
    pages = {path.relative_to(CHECKOUT / "docs") for path in (CHECKOUT / "docs").rglob("*.md")}
    for page in pages:
        name = "index.html" if page.name in ("README.md", "index.md") else f"{page.stem}.html"
        assert (site / page.parent / name).is_file(), page


def test_a_file_of_the_checkout_becomes_a_page(site: Path) -> None:
    """A sample that a page links to can be read on the site, and copied."""
    page = (site / "checkout/manifests/samples/turtle.yaml.html").read_text()
    assert "StrategyRun" in page
    assert 'href="../checkout/manifests/samples/turtle.yaml.html"' in (site / "strategies/turtle.html").read_text()


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """No script, style, font or picture of another server: not in a page, and not in a style sheet."""
    for page in site.rglob("*.html"):
        assert not REMOTE.search(page.read_text()), page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//|@import", sheet.read_text()), sheet


def test_words_of_every_page_can_be_searched(site: Path) -> None:
    """The index has the guides, and not the files that they link to."""
    index = (site / "search/search_index.json").read_text()
    assert '"location":"scoring.html"' in index
    assert '"location":"checkout/manifests' not in index
