"""Options of the form name=value, so that one means the same at every door."""

import json
from typing import Any

from strategyrun.domain.text import clean

_SHOWN = 100


def pair(option: str, text: str) -> tuple[str, str]:
    """Return the name and the value. Raises ValueError with the option, what it must be, and what was found."""
    name, mark, value = text.partition("=")
    if not mark or not name:
        raise ValueError(f"{option}: must be name=value, found {clean(text, _SHOWN)!r}")
    return name, value


def json_or_text(value: str) -> Any:
    """Return what a value says as JSON where it is some, else its text."""
    try:
        return json.loads(value)
    except ValueError:
        return value
