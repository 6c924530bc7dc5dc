"""Hooks of MkDocs: pages may link to files of the checkout outside docs/, and the navigation may name a folder.

A file that is linked to becomes a page of the site, below `checkout/`, so that the site is whole by itself.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_CHECKOUT = Path(__file__).parents[1]
_PREFIX = "checkout/"
_LINK = re.compile(r"(?<=\]\()(?P<path>[^):#\s]+)(?P<anchor>#[^)\s]*)?(?=\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put a folder's pages in its place in the navigation."""
    config.nav = _expand(config.nav, Path(config.docs_dir))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that the pages link to, and those that these link to."""
    documented = [file for file in files if file.is_documentation_page()]
    waiting = [_origin(file.src_uri) for file in documented] + [_CHECKOUT / "ARCHITECTURE.md"]
    known = {_origin(file.src_uri) for file in files}
    while waiting:
        origin = waiting.pop()
        if origin not in known:
            known.add(origin)
            files.append(File.generated(config, _uri(origin), content=_page(origin)))
        if origin.suffix == ".md":
            waiting += [target for target in _targets(origin) if target not in known]
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn links to the checkout into links between pages."""
    origin = _origin(page.file.src_uri)
    here = os.path.dirname(page.file.src_uri)

    def relinked(match: re.Match[str]) -> str:
        target = _resolve(origin, match["path"])
        return os.path.relpath(_uri(target), here) + (match["anchor"] or "") if target else match[0]

    return _LINK.sub(relinked, markdown)


def _expand(entry: Any, docs: Path) -> Any:
    match entry:
        case list():
            return [_expand(each, docs) for each in entry]
        case dict():
            return {title: _expand(each, docs) for title, each in entry.items()}
        case str() if entry.endswith("/"):
            names = sorted(
                (path.name for path in (docs / entry).glob("*.md")), key=lambda name: (name != "README.md", name)
            )
            return [entry + name for name in names]
        case _:
            return entry


def _targets(origin: Path) -> Iterator[Path]:
    for match in _LINK.finditer(origin.read_text(encoding="utf-8")):
        if target := _resolve(origin, match["path"]):
            yield target


def _resolve(origin: Path, link: str) -> Path | None:
    """Return the file that a link of a file leads to; a folder is its README.md."""
    target = Path(os.path.normpath(origin.parent / link))
    if target.is_dir():
        target /= "README.md"
    return target if target.is_file() and target.is_relative_to(_CHECKOUT) else None


def _origin(uri: str) -> Path:
    """Return the file in the checkout that a page was made of."""
    if uri.startswith(_PREFIX):
        path = _CHECKOUT / uri.removeprefix(_PREFIX)
        return path if path.exists() else path.with_suffix("")  # what is no Markdown got the suffix here
    return _CHECKOUT / "docs" / uri


def _uri(origin: Path) -> str:
    docs = _CHECKOUT / "docs"
    if origin.is_relative_to(docs):
        return origin.relative_to(docs).as_posix()
    path = origin.relative_to(_CHECKOUT).as_posix()
    return f"{_PREFIX}{path}" if origin.suffix == ".md" else f"{_PREFIX}{path}.md"


def _page(origin: Path) -> str:
    text = origin.read_text(encoding="utf-8")
    if origin.suffix == ".md":
        return text
    path = origin.relative_to(_CHECKOUT).as_posix()
    language = {".yaml": "yaml", ".py": "python", ".json": "json", ".sh": "sh"}.get(origin.suffix, "text")
    return f"---\nsearch: {{exclude: true}}\n---\n# {path}\n\n```{language}\n{text}```\n"
