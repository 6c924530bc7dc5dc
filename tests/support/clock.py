"""An event loop in which time passes only when nobody has anything to do."""

import asyncio
import selectors
from collections.abc import Coroutine
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
