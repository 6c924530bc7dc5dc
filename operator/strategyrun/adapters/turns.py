"""A few places for many who wait: those who come together take turns."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from strategyrun.adapters.lines import Lines


class Turns:
    """Places that go to whoever waits, one group after the other: nobody waits behind the burst of somebody else."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._lines: Lines[asyncio.Future[None]] = Lines()

    @asynccontextmanager
    async def place(self, group: str) -> AsyncIterator[None]:
        """Wait for a place, and hold it."""
        await self._take(group)
        try:
            yield
        finally:
            self._pass_on()

    async def _take(self, group: str) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._lines.join(group, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the place came in the same moment
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._lines:
            turn = self._lines.next()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
