"""The report: one JSON document that fits in a container's termination message."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMA = 2
MAX_BYTES = 3900
MAX_WARNINGS = 10
MAX_WARNING_CHARS = 160
MAX_MESSAGE_CHARS = 400
SUCCESSES = ("Evaluated", "Unscored")


class Summary(NamedTuple):
    """The equity curve in few numbers: multiples of the initial capital, at even distances from day to day."""

    first: str
    last: str
    values: Sequence[float]


class Verdict(NamedTuple):
    """What was found. `reason` is Evaluated, Unscored, or why the result was rejected; `message` says more."""

    reason: str
    message: str = ""
    metrics: Mapping[str, float] = {}
    warnings: Sequence[str] = ()
    equity: Summary | None = None


def encode(*, nonce: str, verdict: Verdict, hashes: Mapping[str, str], evaluator: str, seconds: float) -> bytes:
    """ASCII JSON of at most MAX_BYTES. Raises ValueError for a number that JSON has no word for."""
    warnings = list(verdict.warnings)
    if len(warnings) > MAX_WARNINGS:
        warnings[MAX_WARNINGS - 1 :] = [f"{len(warnings) - MAX_WARNINGS + 1} more warnings"]
    equity = verdict.equity
    document = {
        "schema": SCHEMA,
        "nonce": nonce,
        "verdict": verdict.reason if verdict.reason in SUCCESSES else "Rejected",
        "reason": verdict.reason,
        "message": _cut(verdict.message, MAX_MESSAGE_CHARS),
        "metrics": dict(verdict.metrics),
        "warnings": [_cut(warning, MAX_WARNING_CHARS) for warning in warnings],
        "hashes": dict(hashes),
        "equity": equity and {"from": equity.first, "to": equity.last, "values": list(equity.values)},
        "evaluator": evaluator,
        "seconds": round(seconds, 4),
    }
    content = json.dumps(document, allow_nan=False, separators=(",", ":")).encode("ascii")
    if len(content) > MAX_BYTES:
        raise ValueError(f"the report has {len(content)} bytes, more than {MAX_BYTES}")
    return content


def write(path: str, content: bytes) -> None:
    """Puts the report in the termination message, in one write."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        if os.write(descriptor, content) != len(content):
            raise OSError(f"{path} took only a part of the report")
    finally:
        os.close(descriptor)


def _cut(text: str, limit: int) -> str:
    """The text, or as much of its beginning as JSON says in `limit` ASCII characters."""
    text = text[:limit]
    while len(json.dumps(text)) - 2 > limit:
        text = text[:-1]
    return text
