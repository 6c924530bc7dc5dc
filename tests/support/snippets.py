"""The fenced blocks of a Markdown page, so that a test can run what the page tells its reader to run."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_FENCE = re.compile(r"^( *)(`{3,})([^\s`]*)[ \t]*([^\n`]*)\n(.*?)^\1\2[ \t]*$", re.MULTILINE | re.DOTALL)


class Snippet(NamedTuple):
    """A block: its language, the rest of its first line (such as `title="x.py"`), its text, its line in the page."""

    language: str
    info: str
    text: str
    line: int

    @property
    def commands(self) -> list[str]:
        """The lines of a shell session that a reader types: those after `$ `, else all that are no comment.

        A line that ends with a backslash goes on in the next one.
        """
        lines = [line for line in self.text.replace("\\\n", "").splitlines() if line.strip()]
        typed = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return typed or [line for line in lines if not line.lstrip().startswith("#")]


def snippets(page: Path, *languages: str) -> Iterator[Snippet]:
    """Yield the blocks of a page in their order: those in the languages, or all."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        indent, _, language, info, body = found.groups()
        if not languages or language in languages:
            dedented = "".join(line.removeprefix(indent) for line in body.splitlines(keepends=True))
            yield Snippet(language, info.strip(), dedented, text.count("\n", 0, found.start()) + 1)
