"""JSON as deep as the API server takes it: `read` for answers, and for kopf's watches all of `json.loads`."""

import json
import sys
from typing import Any

import ijson
from ijson.common import ObjectBuilder

_FRAMES = 40_000
"""Of Python's stack, which has 1000 by default. The API server takes 10,000 levels, a list and what it says of managed
fields add some, and a deep copy takes two frames for each."""


class DeepDecoder(json.JSONDecoder):
    """Reads without recursion what is too deep for C's scanner.

    The limit of recursion is one for all threads: to raise it for one document, and to take it back while another
    thread was deep in its own, ended the process.
    """

    def decode(self, s: str, *args: Any) -> Any:
        """Read one document.

        Raises JSONDecodeError.
        """
        try:
            return super().decode(s, *args)
        except RecursionError:
            return _read_by_events(s)


_decoder = DeepDecoder()


def read(text: bytes) -> Any:
    """Read whatever the API server stores, in a process whose `json.loads` is somebody else's."""
    return _decoder.decode(text.decode(errors="surrogatepass"))


def read_deep_json() -> None:
    """Let `json.loads` read whatever the API server stores, and kopf copy it; for the whole life of the process.

    One run beyond it would end every list and watch.
    """
    sys.setrecursionlimit(_FRAMES)
    json._default_decoder = _decoder  # type: ignore[attr-defined]


def _read_by_events(text: str) -> Any:
    builder = ObjectBuilder()
    try:
        for event, value in ijson.basic_parse(text.encode(errors="surrogatepass"), use_float=True):
            builder.event(event, value)
    except ijson.JSONError as error:
        raise json.JSONDecodeError(str(error), text, 0) from error
    return builder.value
