"""JSON that lies in itself as deep as the API server takes it."""

import gc
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from strategyrun.adapters.deep_json import DeepDecoder, read
from strategyrun.domain.nesting import depth

LEVELS = 10_020
"""What the API server takes, in a list, as its managed fields repeat it."""

READ = f"""
import json, sys
from strategyrun.adapters.deep_json import read_deep_json
from strategyrun.domain.nesting import depth
read_deep_json()
for opening, closing in (("[", "]"), ('{{"a":', "}}")):
    text = opening * {LEVELS} + "[]" + closing * {LEVELS}
    assert depth(json.loads(text)) == {LEVELS} + 1
"""


def test_what_the_api_server_stores_can_be_read() -> None:
    """By `json.loads`, as whoever reads JSON calls it; in another process, for it is the same for all in one."""
    done = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_answer_is_read_in_a_process_that_stays_as_it_was() -> None:
    """A program that asks a client reads its own JSON, in whatever thread, and some of it may be too deep as well."""
    before, seen = (sys.getrecursionlimit(), json._default_decoder), set()  # type: ignore[attr-defined]

    def look(*_: object) -> None:
        seen.add((sys.getrecursionlimit(), json._default_decoder))  # type: ignore[attr-defined]

    often = gc.get_threshold()
    gc.callbacks.append(look)
    gc.set_threshold(10)
    try:
        with ThreadPoolExecutor(4) as threads:
            found = [depth(each) for each in threads.map(read, [b"[" * LEVELS + b"]" * LEVELS] * 8)]
    finally:
        gc.set_threshold(*often)
        gc.callbacks.remove(look)
    assert (found, seen) == ([LEVELS] * 8, {before})


@pytest.mark.parametrize(
    "inner",
    [
        [1, -2.5, 1e300, 9_007_199_254_740_993, True, False, None, "", "é\n\u2028\U0001f600", {}],
        {"a": [1, {"b": None}], "": {"a": "b"}, "é": [[], {}]},
    ],
)
def test_what_is_too_deep_for_c_is_read_as_c_reads(inner: Any) -> None:
    """C's scanner gives up at a number of levels that depends on the Python; no value does."""
    text, levels = json.dumps(inner), 5000
    found = DeepDecoder().decode("[" * levels + text + "]" * levels)
    for _ in range(levels):
        [found] = found
    assert json.dumps(found) == text


@pytest.mark.parametrize("text", ["[", "[" * LEVELS, "[" * LEVELS + "]" * LEVELS + "]", "{1" * LEVELS])
def test_what_is_no_json_is_an_error(text: str) -> None:
    """The usual one."""
    with pytest.raises(json.JSONDecodeError):
        DeepDecoder().decode(text)
