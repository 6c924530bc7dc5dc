"""How long is waited after so many failures in a row, and from when on somebody should hear of them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from strategyrun.adapters.kube import TROUBLE

BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

log = logging.getLogger(__name__)


def pause_after(failures: int) -> float:
    """Return the seconds to wait."""
    return BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS)) - 1]


def is_trouble(failures: int) -> bool:
    """Whether the waits do not get longer any more."""
    return failures > len(BACKOFF_SECONDS)


async def patiently(what: str, ask: Callable[[], Awaitable[None]]) -> None:
    """Do what a start needs. Raises what the API server keeps answering after about a minute."""
    for seconds in BACKOFF_SECONDS:
        try:
            await ask()
        except TROUBLE as error:
            log.warning("%s failed, again in %s s: %s", what, seconds, error)
            await asyncio.sleep(seconds)
        else:
            return
    await ask()
