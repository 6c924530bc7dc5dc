"""Event loops that end only when their sockets have: a connection of TLS takes a moment to say goodbye."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_LOOKS, _PAUSE_SECONDS = 200, 0.01
"""Counted, for a machine may stand still for as long as all of them take."""


class TidyLoop(asyncio.SelectorEventLoop):
    """A loop that knows whether it still watches a socket."""

    def __init__(self) -> None:
        self._watched = selectors.DefaultSelector()
        super().__init__(self._watched)

    async def let_go(self) -> None:
        """Wait until no socket is left but the loop's own, two seconds at most."""
        for _ in range(_LOOKS):
            if len(self._watched.get_map()) <= 1:
                return
            await asyncio.sleep(_PAUSE_SECONDS)  # a selector wakes nobody


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a program to its end, as asyncio.run does, and let its sockets go."""
    with asyncio.Runner(loop_factory=TidyLoop) as runner:
        try:
            return runner.run(work)
        finally:
            loop = runner.get_loop()
            if isinstance(loop, TidyLoop):
                runner.run(loop.let_go())
