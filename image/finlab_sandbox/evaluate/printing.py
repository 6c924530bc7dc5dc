"""Prints the report document, so that a reader of the container's log gets it whole or knows that it did not.

One line `FINLAB-REPORT 1 <bytes> <sha256>`, then base64 of that many bytes in lines that no log splits.
"""

from __future__ import annotations

import binascii
import os

LINE_CHARS = 4096


def frame(content: bytes, sha256: str) -> bytes:
    """The lines to print."""
    encoded = binascii.b2a_base64(content, newline=False)
    lines = (encoded[at : at + LINE_CHARS] + b"\n" for at in range(0, len(encoded), LINE_CHARS))
    return b"FINLAB-REPORT 1 %d %s\n" % (len(content), sha256.encode("ascii")) + b"".join(lines)


def write(descriptor: int, content: bytes) -> None:
    """All of it. Raises OSError where nobody takes it."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
