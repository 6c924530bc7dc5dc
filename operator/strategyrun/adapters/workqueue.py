"""A queue of keys: each at most once in it, each processed by one worker at a time; namespaces take turns."""

import asyncio
from itertools import cycle

from strategyrun.adapters.cache import Key, namespace_of
from strategyrun.adapters.lines import Lines

PATIENT_TURN = 16
"""Every so many takes are of what can wait: a launch is several requests, and a first word on a run is one."""


class WorkQueue:
    """Keys to look at, now or later. Adding a key twice is adding it once."""

    def __init__(self) -> None:
        self._urgent: Lines[Key] = Lines()
        self._patient: Lines[Key] = Lines()
        self._turns = cycle((*[self._urgent] * (PATIENT_TURN - 1), self._patient))
        """A lane that is empty is passed over. A tenant can make urgent keys as fast as they are taken."""
        self._ready = asyncio.Semaphore(0)
        """Counts the keys in both lanes that no worker has been woken for."""
        self._waiting: dict[Key, float] = {}
        """Loop time since when, the oldest first."""
        self._taken_at = 0.0
        self._running: set[Key] = set()
        self._again: dict[Key, bool] = {}
        """Keys to look at once more, and whether that is urgent."""
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        """Count the keys that are ready to be looked at."""
        return len(self._waiting)

    @property
    def oldest(self) -> float:
        """Return for how many seconds the oldest key has been ready; 0 where there is none."""
        return self._age(0.0)

    @property
    def stalled(self) -> float:
        """Return for how many seconds nobody has taken a key although there was one."""
        return self._age(self._taken_at)

    def _age(self, since: float) -> float:
        first = next(iter(self._waiting.values()), None)
        return 0.0 if first is None else asyncio.get_running_loop().time() - max(first, since)

    def add(self, key: Key, *, urgent: bool = False) -> None:
        """Look at a key as soon as a worker is free; if one is at it, once more after that.

        Urgent is what somebody waits for: the end of a run, which frees a slot, and the first word on a new one.
        """
        if key in self._running:
            self._again[key] = urgent or self._again.get(key, False)
            return
        namespace = namespace_of(key)
        if key not in self._waiting:
            self._waiting[key] = asyncio.get_running_loop().time()
            self._patient.join(namespace, key)
            self._ready.release()
        if urgent:
            self._patient.leave(namespace, key)
            self._urgent.join(namespace, key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Look at a key when so much time has passed; the earliest of several times counts."""
        loop = asyncio.get_running_loop()
        known = self._timers.get(key)
        if known is None or loop.time() + seconds < known.when():
            if known is not None:
                known.cancel()
            self._timers[key] = loop.call_later(seconds, self._ring, key)

    async def get(self) -> Key:
        """Wait for the next key and mark it as being worked on; `done` must follow."""
        await self._ready.acquire()
        key = next(lane for lane in self._turns if lane).next()
        del self._waiting[key]
        self._taken_at = asyncio.get_running_loop().time()
        self._running.add(key)
        return key

    def done(self, key: Key) -> None:
        """Say that the worker has finished with the key."""
        self._running.discard(key)
        if key in self._again:
            self.add(key, urgent=self._again.pop(key))

    def _ring(self, key: Key) -> None:
        del self._timers[key]
        self.add(key)
