"""A queue of keys: each at most once in it, each processed by one worker at a time."""

import asyncio
from itertools import count

_FAST_LANE, _LANE = range(2)


class WorkQueue:
    """Keys to look at, now or later. Adding a key twice is adding it once."""

    def __init__(self) -> None:
        self._ready: asyncio.PriorityQueue[tuple[int, int, str]] = asyncio.PriorityQueue()
        self._turns = count()
        self._waiting: dict[str, float] = {}
        """Loop time since when, in the order of the queue."""
        self._taken_at = 0.0
        self._running: set[str] = set()
        self._again: dict[str, bool] = {}
        """Keys to look at once more, and whether that is urgent."""
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        """Count the keys that are ready to be looked at."""
        return len(self._waiting)

    @property
    def oldest(self) -> float:
        """Return for how many seconds the next key has been ready; 0 where there is none."""
        return self._age(0.0)

    @property
    def stalled(self) -> float:
        """Return for how many seconds nobody has taken a key although there was one."""
        return self._age(self._taken_at)

    def _age(self, since: float) -> float:
        first = next(iter(self._waiting.values()), None)
        return 0.0 if first is None else asyncio.get_running_loop().time() - max(first, since)

    def add(self, key: str, *, urgent: bool = False) -> None:
        """Look at a key as soon as a worker is free; if one is at it, once more after that.

        Urgent is what somebody waits for: the end of a run, which frees a slot, and the first word on a new one.
        """
        if key in self._running:
            self._again[key] = urgent or self._again.get(key, False)
        elif key not in self._waiting:
            self._waiting[key] = asyncio.get_running_loop().time()
            self._ready.put_nowait((_LANE, next(self._turns), key))
        if urgent and key in self._waiting:
            self._ready.put_nowait((_FAST_LANE, next(self._turns), key))

    def add_after(self, key: str, seconds: float) -> None:
        """Look at a key when so much time has passed; the earliest of several times counts."""
        loop = asyncio.get_running_loop()
        known = self._timers.get(key)
        if known is None or loop.time() + seconds < known.when():
            if known is not None:
                known.cancel()
            self._timers[key] = loop.call_later(seconds, self._ring, key)

    async def get(self) -> str:
        """Wait for the next key and mark it as being worked on; `done` must follow."""
        key = ""
        while key not in self._waiting:  # of a key in both lanes the second is void
            _, _, key = await self._ready.get()
        del self._waiting[key]
        self._taken_at = asyncio.get_running_loop().time()
        self._running.add(key)
        return key

    def done(self, key: str) -> None:
        """Say that the worker has finished with the key."""
        self._running.discard(key)
        if key in self._again:
            self.add(key, urgent=self._again.pop(key))

    def _ring(self, key: str) -> None:
        del self._timers[key]
        self.add(key)
