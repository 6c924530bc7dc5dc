"""Waiting for a fact instead of for time to pass."""

import asyncio
from collections.abc import Callable
from pprint import pformat
from selectors import BaseSelector
from time import monotonic, sleep
from typing import TypeVar

Seen = TypeVar("Seen")

PATIENCE = 150.0
"""Seconds for what comes at once on a machine with nothing else to do. Where it comes they cost nothing."""

IN_LINE = 540.0
"""Seconds for what waits for a slot of the deployed operator, or for room: the runs of all tests share one node."""


class StillNotError(AssertionError):
    """What a test waited for did not come true in time."""


def wait_until(
    what: str,
    observe: Callable[[], Seen],
    holds: Callable[[Seen], object],
    *,
    seconds: float = PATIENCE,
    every: float = 0.1,
) -> Seen:
    """Observe until the predicate holds, and return the observation for which it did.

    Raises StillNotError with the last observation after the given seconds. An error of
    `observe` is not waited out: answer None for what may be absent.
    """
    deadline = monotonic() + seconds
    while True:
        seen = observe()
        if holds(seen):
            return seen
        if monotonic() >= deadline:
            raise StillNotError(f"after {seconds:g} s still not: {what}\nlast seen:\n{pformat(seen, width=110)}")
        sleep(every)


async def let_go(sockets: BaseSelector) -> None:
    """Wait for the closed connections of a loop to say goodbye; the loop's own pipe stays."""
    async with asyncio.timeout(PATIENCE):
        while len(sockets.get_map()) > 1:  # noqa: ASYNC110 - a selector wakes nobody
            await asyncio.sleep(0.01)
