"""Clocks of event loops that a test moves: time passes when nobody has anything to do, or when the test says so."""

import asyncio
import selectors
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Result = TypeVar("Result")


class NothingWillHappenError(AssertionError):
    """Every task waits, and neither a timer nor a socket will ever wake one."""


class _Leap(selectors.DefaultSelector):
    """Leaps over the time that a real selector would sleep."""

    now = 0.0
    turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.turns += 1
        ready = super().select(0)
        if not ready and timeout is None:
            raise NothingWillHappenError
        if not ready and timeout is not None:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that begins at 0 and needs no real time for an hour of waiting."""

    def __init__(self) -> None:
        self._leap = _Leap()
        super().__init__(self._leap)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._leap.now

    @property
    def turns(self) -> int:
        """Count how often the loop went round: what waiting costs."""
        return self._leap.turns


def run_virtually(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end in virtual time.

    Raises NothingWillHappenError where it would wait for ever.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


def pass_time(seconds: float) -> None:
    """Move the running loop's clock on: what was to happen until then happens in the loop's next turn."""
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]


@contextmanager
def standing_clock() -> Iterator[None]:
    """Let the running loop's clock stand where `pass_time` does not move it: sockets are served, no timer goes off."""
    loop = asyncio.get_running_loop()
    real, now = loop.time, loop.time()
    loop.time = lambda: now  # type: ignore[method-assign]
    try:
        yield
    finally:
        loop.time = real  # type: ignore[method-assign]
