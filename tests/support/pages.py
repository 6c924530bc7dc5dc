"""The pages that people read, and the code on them."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from support.cluster import CHECKOUT
from support.snippets import Snippet, snippets

PAGES = [
    *sorted(path for path in CHECKOUT.glob("*.md")),
    *sorted((CHECKOUT / "docs").rglob("*.md")),
    *sorted((CHECKOUT / "config").glob("*.md")),
    CHECKOUT / "hack" / "README.md",
]
_NOT_RUN = re.compile(r"<!-- not run: (.+) -->")
_FENCED = re.compile(r"^( *)(`{3,}).*?^\1\2[ \t]*$", re.MULTILINE | re.DOTALL)

# By kind: the definition of each resource of ours.
DEFINITIONS: dict[str, dict[str, Any]] = {
    definition["spec"]["names"]["kind"]: definition
    for definition in (
        yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in sorted((CHECKOUT / "crds").glob("*.yaml"))
        if path.name != "kustomization.yaml"
    )
}


class Block(NamedTuple):
    """A block of code on a page."""

    page: Path
    snippet: Snippet

    @property
    def where(self) -> str:
        """Page and line, as an editor opens them."""
        return f"{self.page.relative_to(CHECKOUT)}:{self.snippet.line}"

    @property
    def reason_not_to_run(self) -> str | None:
        """What the page says in the line before, where nothing may run the block."""
        before = self.page.read_text(encoding="utf-8").splitlines()[self.snippet.line - 2]
        said = _NOT_RUN.fullmatch(before.strip())
        return said[1] if said else None

    @property
    def title(self) -> str | None:
        """The name of the file that the reader is to write the block into."""
        named = re.search(r'title="([^"]+)"', self.snippet.info)
        return named[1] if named else None


@cache
def blocks(*languages: str) -> list[Block]:
    """Return the blocks of all pages: those in the languages, or all."""
    return [Block(page, snippet) for page in PAGES for snippet in snippets(page, *languages)]


@cache
def prose(page: Path) -> str:
    """Return what a page says outside its blocks of code."""
    return _FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Return the names of a page's headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ +(.*?)(?: \{.*\})?$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def schema_of(kind: str) -> dict[str, Any]:
    """Return the structural schema of a resource of ours."""
    schema: dict[str, Any] = DEFINITIONS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def fields(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield the path of every field of a schema: items of lists have the path of their list."""
    for name, each in schema.get("properties", {}).items():
        here = f"{path}.{name}".lstrip(".")
        yield here
        for inner in (each, each.get("items"), each.get("additionalProperties")):
            if isinstance(inner, dict):
                yield from fields(inner, here)
    if schema.get("x-kubernetes-preserve-unknown-fields") or isinstance(schema.get("additionalProperties"), dict):
        yield f"{path}.*"


def strict(schema: Any) -> Any:
    """Turn a structural schema into one that refuses fields it does not know, and asks for none."""
    match schema:
        case {"type": "object", "properties": properties}:
            inner = {name: strict(each) for name, each in properties.items()}
            return {"type": "object", "additionalProperties": False, "properties": inner}
        case {"type": "array", "items": items}:
            return {**schema, "items": strict(items)}
        case dict():
            return {name: each for name, each in schema.items() if name not in ("format", "exclusiveMinimum")}
        case _:
            return schema
