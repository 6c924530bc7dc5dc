"""A queue of keys: each at most once in it, each processed by one worker at a time."""

import asyncio
import heapq
import itertools
from collections import deque


class WorkQueue:
    """Keys to look at, now or later. Adding a key twice is adding it once."""

    def __init__(self) -> None:
        self._ready: deque[str] = deque()
        self._waiting: set[str] = set()
        self._running: set[str] = set()
        self._again: set[str] = set()
        self._delayed: list[tuple[float, int, str]] = []
        self._due: dict[str, float] = {}
        self._count = itertools.count()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """Count the keys that are ready to be looked at."""
        return len(self._ready)

    def add(self, key: str) -> None:
        """Look at a key as soon as a worker is free; if one is at it, once more after that."""
        if key in self._running:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.append(key)
            self._changed.set()

    def add_after(self, key: str, seconds: float) -> None:
        """Look at a key when so much time has passed; the earliest of several times counts."""
        due = asyncio.get_running_loop().time() + max(0.0, seconds)
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._delayed, (due, next(self._count), key))
            self._changed.set()

    async def get(self) -> str:
        """Wait for the next key and mark it as being worked on; `done` must follow."""
        while True:
            self._promote()
            if self._ready:
                key = self._ready.popleft()
                self._waiting.discard(key)
                self._running.add(key)
                return key
            self._changed.clear()
            timeout = None
            if self._delayed:
                timeout = max(0.0, self._delayed[0][0] - asyncio.get_running_loop().time())
            try:
                await asyncio.wait_for(self._changed.wait(), timeout)
            except TimeoutError:
                continue

    def done(self, key: str) -> None:
        """Say that the worker has finished with the key."""
        self._running.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _promote(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._delayed and self._delayed[0][0] <= now:
            due, _, key = heapq.heappop(self._delayed)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
