"""Ports of the loopback interface."""

import os
from collections.abc import Iterator
from errno import EADDRINUSE
from itertools import cycle, islice
from secrets import randbelow
from socket import socket

_FIRST, _EACH, _SHARES = 10_000, 1_000, 20


def ports_of(worker: str) -> Iterator[int]:
    """Give the ports of a worker of a test run, none twice before each was given once; workers have ports of their own.

    They end below 32768, where those begin that the kernel gives to any connection. Where among them a worker begins
    is chance, as there may be another test run.
    """
    first, begin = _FIRST + int(worker.removeprefix("gw")) % _SHARES * _EACH, randbelow(_EACH)
    return (first + (begin + number) % _EACH for number in cycle(range(_EACH)))


_ours = ports_of(os.environ.get("PYTEST_XDIST_WORKER", "gw0"))


def free_port() -> int:
    """Return a TCP port that nobody listens on now, and that this process has not been given lately.

    Raises OSError where all are taken.
    """
    for port in islice(_ours, _EACH):
        if _is_free(port):
            return port
    raise OSError(EADDRINUSE, f"all {_EACH} ports of this process are taken")


def _is_free(port: int) -> bool:
    with socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
