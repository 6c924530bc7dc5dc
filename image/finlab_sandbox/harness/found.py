"""What the look-ahead check says that it found: the strategy's own word, which may be a lie, but has a shape."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date
from typing import Any

from finlab_sandbox.harness.text import clean

MAX_NOTE_CHARS = 160
MAX_SYMBOL_CHARS = 64
MAX_BYTES = 480  # of either, as ASCII JSON
RUNS = 10  # a check takes about as many runs of the strategy as there are samples, and two more
SPARE_SECONDS = 10.0
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Found:
    """On how many futures the positions were compared, on how many an earlier one changed, and the first of them."""

    checked: int = 0
    changed: int = 0
    first_date: str | None = None
    symbol: str | None = None
    note: str = ""
    deterministic: bool = True

    def document(self, samples: int) -> dict[str, Any]:
        """For the document, where `samples` futures were asked for."""
        return {
            "samples": samples,
            "checked": self.checked,
            "changed": self.changed,
            "firstDate": self.first_date,
            "symbol": self.symbol,
            "note": self.note,
            "deterministic": self.deterministic,
        }


def until(handed_over_at: float, seconds: float) -> float:
    """When a check has to be over, where the strategy took `seconds`: one that turns in circles is not waited for."""
    return handed_over_at + SPARE_SECONDS + RUNS * seconds


def parse(said: bytes, samples: int) -> Found | None:
    """None for what is of another shape, or says more than it can have found."""
    try:
        document = json.loads(said)["lookAhead"]
        checked, changed = document["checked"], document["changed"]
        note, deterministic = document["note"], document.get("deterministic", True)
        first, symbol = document.get("firstDate"), document.get("symbol")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    if type(checked) is not int or type(changed) is not int or not 0 <= changed <= checked <= samples:
        return None
    if not isinstance(note, str) or not isinstance(deterministic, bool):
        return None
    if not deterministic:
        return Found(note=_short(note, MAX_NOTE_CHARS), deterministic=False)
    if changed == 0:
        return Found(checked, note=_short(note, MAX_NOTE_CHARS))
    if not isinstance(first, str) or not isinstance(symbol, str) or not _is_day(first):
        return None
    return Found(checked, changed, first, _short(symbol, MAX_SYMBOL_CHARS), _short(note, MAX_NOTE_CHARS))


def _is_day(text: str) -> bool:
    try:
        return bool(_DAY.fullmatch(text) and date.fromisoformat(text))
    except ValueError:
        return False


def _short(text: str, limit: int) -> str:
    text = clean(text, limit)
    while len(json.dumps(text)) > MAX_BYTES:
        text = text[: len(text) // 2]
    return text
