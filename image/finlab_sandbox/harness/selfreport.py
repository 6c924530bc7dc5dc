"""The numbers that a strategy says of itself: read after its end, believed by nobody, bounded in everything."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from typing import Any, NamedTuple

from finlab_sandbox.harness.text import clean

FILE = "result.json"
MAX_FILE_BYTES = 64 * 1024
MAX_NUMBERS = 32
MAX_NAME_CHARS = 64
MAX_BYTES = 1800  # of all numbers with their names, as ASCII JSON
MAX_WARNINGS = 8
BOTH_WAYS = (
    'print one last line "RESULT " + json.dumps({"sharpe": 1.2}), or write such an object to '
    'os.environ["RESULT_DIR"] + "/result.json"'
)

_RESULT = re.compile(rb"(?:^|[\r\n])[ \t]*RESULT[ \t]")


class SelfReport(NamedTuple):
    """Finite numbers by name, and what was left out."""

    values: dict[str, float]
    warnings: list[str]


class InvalidReportError(ValueError):
    """There is something where the numbers should be, and it is not they."""


def read_file(directory: str) -> bytes | None:
    """The content of result.json, None where there is none. Raises InvalidReportError. Follows no link."""
    try:
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        descriptor = os.open(FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidReportError(f"{FILE} cannot be read: {error.strerror}") from error
    finally:
        os.close(folder)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InvalidReportError(f"{FILE} is no plain file")
        content = os.pread(descriptor, MAX_FILE_BYTES + 1, 0)
    finally:
        os.close(descriptor)
    if len(content) > MAX_FILE_BYTES:
        raise InvalidReportError(f"{FILE} has more than {MAX_FILE_BYTES} bytes")
    return content


def last_result(output: bytes) -> bytes | None:
    """What stands behind the last RESULT that begins a line."""
    ends = [match.end() for match in _RESULT.finditer(output)]
    return output[ends[-1] :] if ends else None


def parse(where: str, content: bytes, *, alone: bool) -> SelfReport:
    """The numbers in a JSON object; `alone` where nothing may follow it. Raises InvalidReportError."""
    text = content.decode("utf-8", "replace").strip()
    try:
        document, end = json.JSONDecoder(object_pairs_hook=_unique).raw_decode(text)
        if alone and text[end:]:
            raise ValueError(f"more follows the object: {text[end:][:20]!r}")
    except (ValueError, RecursionError) as error:
        raise InvalidReportError(f"{where} is no JSON ({clean(str(error), 100)}); {BOTH_WAYS}") from None
    if not isinstance(document, dict):
        raise InvalidReportError(f"{where} is {_kind(document)}, no object of numbers by name")
    values: dict[str, float] = {}
    left_out: list[str] = []
    for name, value in document.items():
        if (why := _refused(name, value)) is not None:
            left_out.append(f"{clean(name, 40)!r} ({why})")
            continue
        values[name] = float(value)
        if len(values) > MAX_NUMBERS or len(json.dumps(values)) > MAX_BYTES:
            del values[name]
            left_out.append(f"{clean(name, 40)!r} (one too many)")
    if not values:
        named = f": {', '.join(left_out[:3])}" if left_out else ""
        raise InvalidReportError(f"{where} has no finite number by name{named}")
    return SelfReport(values, _warnings(left_out))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key occurs twice")
    return document


def _refused(name: str, value: object) -> str | None:
    """Why this is no number by name, None where it is one."""
    if not name or clean(name, MAX_NAME_CHARS) != name:
        return "no plain name"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _kind(value)
    try:
        return None if math.isfinite(float(value)) else f"{float(value)}"
    except OverflowError:
        return "too large"


def _warnings(left_out: list[str]) -> list[str]:
    """One line for each, and how many more there are."""
    if len(left_out) <= MAX_WARNINGS:
        return [f"RESULT: left out {each}" for each in left_out]
    shown = [f"RESULT: left out {each}" for each in left_out[: MAX_WARNINGS - 1]]
    return [*shown, f"RESULT: left out {len(left_out) - len(shown)} more"]


def _kind(value: object) -> str:
    names = {bool: "true or false", str: "text", list: "a list", dict: "an object", type(None): "null"}
    return names.get(type(value), "a number")
