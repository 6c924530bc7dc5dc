"""Text from a pod is hostile: it is cleaned and cut before it reaches a status or a terminal."""

import re
import unicodedata
from bisect import bisect_right
from itertools import accumulate

MESSAGE_LIMIT = 512
LINE_LIMIT = 200
LINES_LIMIT = 20

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_ELLIPSIS = "…"
_SPACES = str.maketrans(dict.fromkeys("\t\r\n", " "))


def clean(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Return one printable line that takes at most `limit` bytes in a JSON document.

    Terminal escapes and control, bidi, surrogate and unassigned characters are taken out. A status
    has room for a number of bytes, so that is what is counted: UTF-8, with JSON's own escapes.
    """
    spaced = _ESCAPE_SEQUENCE.sub("", text[: 16 * limit]).translate(_SPACES)
    return _cut("".join(c for c in spaced if unicodedata.category(c) not in _HIDDEN), limit)


def last_lines(text: str) -> tuple[str, ...]:
    """Return the last 20 lines that say something, each cleaned and cut."""
    lines = (clean(line, LINE_LIMIT).rstrip() for line in text.splitlines()[-4 * LINES_LIMIT :])
    return tuple(line for line in lines if line)[-LINES_LIMIT:]


def _cut(text: str, limit: int) -> str:
    sizes = list(accumulate(_size(character) for character in text))
    if not sizes or sizes[-1] <= limit:
        return text
    return text[: bisect_right(sizes, limit - _size(_ELLIPSIS))] + _ELLIPSIS


def _size(character: str) -> int:
    return 2 if character in '"\\' else len(character.encode())
