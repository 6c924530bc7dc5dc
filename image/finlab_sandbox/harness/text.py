"""Makes text from a strategy fit to be shown: no control, escape or bidirectional characters, bounded."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

MAX_BYTES = 3900
MAX_MESSAGE_CHARS = 500
MAX_LINES = 20
MAX_LINE_CHARS = 200
MAX_WARNINGS = 8
MAX_WARNING_CHARS = 160

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -~])")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


# What a fatal signal's trace says of the harness instead of the strategy.
_NOISE = re.compile(r'  File ".*/finlab_sandbox/harness/\w+\.py", line |  File "<frozen |Extension modules: ')


def clean(text: str, limit: int) -> str:
    """One line of at most `limit` visible characters."""
    text = _ESCAPE.sub("", text[: 16 * limit]).replace("\t", "    ").replace("\n", " ")
    text = "".join(character for character in text if unicodedata.category(character) not in _HIDDEN)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def last_lines(output: bytes) -> list[str]:
    """The last lines of an output that have something to show."""
    lines = re.split(r"\r\n|\r|\n", output.decode("utf-8", "replace"))
    shown = [
        line for line in (clean(line, MAX_LINE_CHARS).rstrip() for line in lines) if line and not _NOISE.match(line)
    ]
    return shown[-MAX_LINES:]


def encode(document: dict[str, Any]) -> bytes:
    """ASCII JSON of at most MAX_BYTES.

    What does not fit is cut from the oldest lines, then from the last warnings, then from the message.
    """
    fitted = dict(document, lastLines=list(document["lastLines"]), warnings=list(document["warnings"]))
    while len(content := json.dumps(fitted, separators=(",", ":")).encode("ascii")) > MAX_BYTES:
        if fitted["lastLines"]:
            del fitted["lastLines"][0]
        elif fitted["warnings"]:
            del fitted["warnings"][-1]
        else:
            fitted["message"] = fitted["message"][: len(fitted["message"]) // 2]
    return content
