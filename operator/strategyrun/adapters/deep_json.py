"""JSON as deep as the API server takes it: `read` for answers, and for kopf's watches all of `json.loads`."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from json.scanner import py_make_scanner  # type: ignore[attr-defined]  # typeshed leaves it out
from threading import Lock
from typing import Any

_FRAMES = 40_000
"""Of Python's stack, which has 1000 by default. The API server takes 10,000 levels, a list and what it says of managed
fields add some, and Python's scanner takes two frames for each."""

_raising = Lock()


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
            with _deep_stack():
                return self._patient.raw_decode(s, idx)


_decoder = DeepDecoder()


def read(text: bytes) -> Any:
    """Read whatever the API server stores, in a process whose `json.loads` and stack are somebody else's."""
    return _decoder.decode(text.decode(errors="surrogatepass"))


def read_deep_json() -> None:
    """Let `json.loads` read whatever the API server stores: one run beyond it would end every list and watch."""
    sys.setrecursionlimit(_FRAMES)
    json._default_decoder = _decoder  # type: ignore[attr-defined]


@contextmanager
def _deep_stack() -> Iterator[None]:
    """Have the frames that Python's scanner takes; their limit is one for all threads."""
    with _raising:
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(max(before, _FRAMES))
        try:
            yield
        finally:
            sys.setrecursionlimit(before)
