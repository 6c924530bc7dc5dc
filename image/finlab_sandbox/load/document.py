"""What the loader says at its end: one JSON document that fits in a container's termination message."""

from __future__ import annotations

import json
import os

MAX_BYTES = 3900


def encode(reason: str, message: str, seconds: float) -> bytes:
    """ASCII JSON of at most MAX_BYTES; a message that does not fit is cut."""
    seen = visible(message)
    kept = len(seen)
    while True:
        text = seen if kept == len(seen) else seen[:kept] + "…"
        document = {"schema": 1, "reason": reason, "message": text, "seconds": round(seconds, 4)}
        content = json.dumps(document, separators=(",", ":")).encode("ascii")
        if len(content) <= MAX_BYTES:
            return content
        kept = kept * 9 // 10


def visible(message: str) -> str:
    """The message in characters that a terminal may show."""
    return "".join(character if character.isprintable() else "\ufffd" for character in message)


def write(path: str, content: bytes) -> None:
    """Puts the document in the termination message, in one write."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        if os.write(descriptor, content) != len(content):
            raise OSError(f"{path} took only a part of the document")
    finally:
        os.close(descriptor)
