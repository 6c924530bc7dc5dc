"""JSON that lies in itself as deep as the API server takes it."""

import json
import subprocess
import sys
from typing import Any

import pytest

from strategyrun.adapters.deep_json import DeepDecoder

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

BESIDE = f"""
import gc, json, sys
from concurrent.futures import ThreadPoolExecutor
from strategyrun.adapters.deep_json import read
from strategyrun.domain.nesting import depth

def now():
    return sys.getrecursionlimit(), json._default_decoder

before, seen = now(), set()
gc.callbacks.append(lambda *_: seen.add(now()))
gc.set_threshold(10)
with ThreadPoolExecutor(4) as threads:
    found = [depth(each) for each in threads.map(read, [b"[" * {LEVELS} + b"]" * {LEVELS}] * 8)]
assert (found, seen) == ([{LEVELS}] * 8, {{before}})
"""


def test_what_the_api_server_stores_can_be_read() -> None:
    """By `json.loads`, as whoever reads JSON calls it; in another process, for it is the same for all in one."""
    done = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_answer_is_read_in_a_process_that_stays_as_it_was() -> None:
    """A program that asks a client reads its own JSON, in whatever thread, and some of it may be too deep as well."""
    done = subprocess.run([sys.executable, "-c", BESIDE], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr  # which is what Python says of a callback that has no stack left


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
