"""The report: one JSON document that fits in a container's termination message."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_BYTES = 3900
MAX_WARNINGS = 12
MAX_WARNING_CHARS = 160


def encode(
    *,
    nonce: str,
    reason: str,
    message: str,
    metrics: Mapping[str, float],
    warnings: Sequence[str],
    hashes: Mapping[str, str],
    evaluator: str,
    seconds: float,
) -> bytes:
    """ASCII JSON of at most MAX_BYTES. Raises ValueError for a number that JSON has no word for."""
    kept = list(warnings)
    if len(kept) > MAX_WARNINGS:
        kept[MAX_WARNINGS - 1 :] = [f"{len(kept) - MAX_WARNINGS + 1} more warnings"]
    document = {
        "schema": 1,
        "nonce": nonce,
        "verdict": "Evaluated" if reason == "Evaluated" else "Rejected",
        "reason": reason,
        "message": message,
        "metrics": dict(metrics),
        "warnings": [warning[:MAX_WARNING_CHARS] for warning in kept],
        "hashes": dict(hashes),
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
