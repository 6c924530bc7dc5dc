"""Text from a pod is hostile: it is cleaned and cut before it reaches a status or a terminal."""

import unicodedata

MESSAGE_LIMIT = 1024
LINE_LIMIT = 200
LINES_LIMIT = 20


def clean(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Return one printable line of at most `limit` characters: no control, bidi or surrogate characters."""
    kept = (" " if character in "\t\r\n" else character for character in text)
    printable = "".join(c for c in kept if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
    return printable if len(printable) <= limit else printable[: limit - 1] + "…"


def last_lines(text: str) -> tuple[str, ...]:
    """Return the last 20 lines that say something, each cleaned and cut."""
    lines = (clean(line, LINE_LIMIT).rstrip() for line in text.splitlines()[-4 * LINES_LIMIT :])
    return tuple(line for line in lines if line)[-LINES_LIMIT:]
