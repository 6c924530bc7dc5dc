"""The gallery of mistakes: the manifests, with what each must come to, and the page that tells of them."""

import re
from dataclasses import dataclass
from typing import Any

import yaml

from support.cluster import CHECKOUT, Manifest

EXPECTED = "finlab-sandbox.dev/expected"
PAGE = CHECKOUT / "docs" / "mistakes.md"
MANIFESTS: dict[str, Manifest] = {
    path.stem: yaml.safe_load(path.read_text()) for path in sorted((CHECKOUT / "manifests" / "mistakes").glob("*.yaml"))
}


@dataclass(frozen=True)
class Entry:
    """What the page tells of a mistake.

    `status` has phase and reason, and where they matter class, message, warning, selfReported and lookAheadClean; the
    texts are parts of what the run says.
    """

    code: str
    status: dict[str, Any]
    instead: str


def entries() -> dict[str, Entry]:
    """Read the page: a section for each mistake, headed by its name, with three blocks of code."""
    sections = re.split(r"^## `([-a-z]+)`.*$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    return {name: _entry(text) for name, text in zip(sections[::2], sections[1::2], strict=True)}


def others() -> dict[str, str]:
    """Read the table of those that have no section: what each comes to, by its first cell."""
    table = PAGE.read_text().partition("\n## Others, in a line\n")[2]
    return dict(re.findall(r"^\| (.+?) \| (.+) \|$", table, flags=re.MULTILINE)[1:])


def _entry(text: str) -> Entry:
    code, status, instead = re.findall(r"^```(?:python|yaml)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)[:3]
    return Entry(code, yaml.safe_load(status), instead)
