"""For the runs of a strategy that only check it: what they print is nobody's to read."""

from __future__ import annotations

import fcntl
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTPUT = (1, 2)
FREE = 3  # the first descriptor that no program takes for its input or output


@contextmanager
def quiet() -> Iterator[None]:
    """Standard output and error go nowhere, as Python's streams and as descriptors; afterwards they are as before.

    A strategy may have closed or replaced any of them.
    """
    streams: tuple[Any, Any] = getattr(sys, "stdout", None), getattr(sys, "stderr", None)
    for stream in streams:
        with suppress(Exception):
            stream.flush()
    kept = {descriptor: _copy(descriptor) for descriptor in OUTPUT}
    opened = os.open(os.devnull, os.O_WRONLY)
    nowhere = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, FREE)
    os.close(opened)
    with open(nowhere, "w", encoding="utf-8", errors="replace") as file:
        try:
            for descriptor in OUTPUT:
                os.dup2(nowhere, descriptor)
            sys.stdout = sys.stderr = file
            yield
        finally:
            sys.stdout, sys.stderr = streams
            for descriptor, copy in kept.items():
                _put_back(descriptor, copy)


def _copy(descriptor: int) -> int | None:
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, FREE)
    except OSError:
        return None


def _put_back(descriptor: int, copy: int | None) -> None:
    if copy is None:
        os.close(descriptor)
    else:
        os.dup2(copy, descriptor)
        os.close(copy)
