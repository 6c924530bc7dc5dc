"""JSON that lies in itself as deep as the API server takes it."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from strategyrun.adapters.deep_json import DeepDecoder, read
from strategyrun.domain.nesting import depth
from support.builders import nested

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
    """A program that asks a client reads its own JSON, and has a stack of its own; other threads may read too."""
    before = sys.getrecursionlimit(), json._default_decoder  # type: ignore[attr-defined]
    with ThreadPoolExecutor(4) as threads:
        found = threads.map(read, [b"[" * LEVELS + b"]" * LEVELS] * 8)
        assert [depth(each) for each in found] == [LEVELS] * 8
    assert (sys.getrecursionlimit(), json._default_decoder) == before  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "found"), [('  {"a": [1, {"b": null}]} ', {"a": [1, {"b": None}]}), ("[[[]]]", nested(3))]
)
def test_what_is_too_deep_for_c_is_read_by_python(monkeypatch: pytest.MonkeyPatch, text: str, found: Any) -> None:
    """C's scanner gives up at a number of levels that depends on the Python."""

    def give_up(_: str, __: int) -> None:
        raise RecursionError

    decoder = DeepDecoder()
    monkeypatch.setattr(decoder, "scan_once", give_up)
    assert decoder.decode(text) == found


def test_what_is_no_json_is_an_error() -> None:
    """The usual one."""
    with pytest.raises(ValueError, match="Expecting value: line 1 column 2"):
        DeepDecoder().decode("[")
