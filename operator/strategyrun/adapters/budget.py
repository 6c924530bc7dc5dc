"""How much of the API server this process may use: places, a rate, and pauses that the server asks for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import SystemRandom

_JITTER_SECONDS = 0.5
_random = SystemRandom()


class TokenBucket:
    """Tokens that come back at a steady rate, up to a burst. Times are seconds of any one clock."""

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._tokens = float(burst)
        self._filled_at: float | None = None

    def allow(self, now: float) -> bool:
        """Take a token if there is one."""
        self._fill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def reserve(self, now: float) -> float:
        """Take a token, be it one that has yet to come, and return the seconds until it does."""
        self._fill(now)
        self._tokens -= 1
        return max(0.0, -self._tokens / self._per_second)

    def _fill(self, now: float) -> None:
        if self._filled_at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now


class Budget:
    """One for all requests of a connection."""

    def __init__(self, *, places: int = 64, per_second: float = 300, burst: int = 600) -> None:
        self._places = asyncio.Semaphore(places)
        self._bucket = TokenBucket(burst, per_second)
        self._paused_until = 0.0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place, for the rate and for the end of a pause; the place is held until the block ends."""
        async with self._places:
            now = asyncio.get_running_loop().time()
            seconds = self._bucket.reserve(now)
            while (pause := self._paused_until - now) > 0 or seconds > 0:
                await asyncio.sleep(max(seconds, pause + _random.uniform(0, _JITTER_SECONDS) if pause > 0 else 0))
                now, seconds = asyncio.get_running_loop().time(), 0
            yield

    def pause(self, seconds: float) -> None:
        """Let no request begin for so long, whoever wants to send it."""
        self._paused_until = max(self._paused_until, asyncio.get_running_loop().time() + seconds)
