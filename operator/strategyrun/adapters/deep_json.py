"""JSON as deep as the API server takes it, for all that reads JSON in this process: kopf's watches are not ours."""

import json
import sys
from json.scanner import py_make_scanner  # type: ignore[attr-defined]  # typeshed leaves it out
from typing import Any

_FRAMES = 40_000
"""Of Python's stack, which has 1000 by default. The API server takes 10,000 levels, a list and what it says of managed
fields add some, and Python's scanner takes two frames for each."""


class DeepDecoder(json.JSONDecoder):
    """Reads with Python's scanner what is too deep for C's: from Python 3.12 on nobody can set that one's limit."""

    def __init__(self) -> None:
        super().__init__()
        self._patient = json.JSONDecoder()
        self._patient.scan_once = py_make_scanner(self._patient)  # type: ignore[attr-defined]

    def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
        """Read the document that begins there, and tell where it ends."""
        try:
            return super().raw_decode(s, idx)
        except RecursionError:
            return self._patient.raw_decode(s, idx)


def read_deep_json() -> None:
    """Let `json.loads` read whatever the API server stores: one run beyond it would end every list and watch."""
    sys.setrecursionlimit(_FRAMES)
    json._default_decoder = DeepDecoder()  # type: ignore[attr-defined]
