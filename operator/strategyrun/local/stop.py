"""A word to whatever runs a plan that nobody waits for its answer any more."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class StoppedError(Exception):
    """Somebody asked for the end; there is no answer."""


class Stop:
    """Asked for once, by any thread; seen by the one that runs the plan."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._waited_for: set[subprocess.Popen[Any]] = set()

    def ask(self) -> None:
        """End what is waited for now, and whatever would be begun after it."""
        with self._lock:
            self._asked.set()
            for process in self._waited_for:
                process.terminate()

    def check(self) -> None:
        """Raise StoppedError where it was asked for."""
        if self._asked.is_set():
            raise StoppedError

    def wait(self, seconds: float) -> None:
        """Let time pass. Raises StoppedError as soon as it is asked for."""
        self._asked.wait(seconds)
        self.check()

    @contextmanager
    def ends(self, process: subprocess.Popen[Any]) -> Iterator[None]:
        """Wait for a process inside of this. It is ended by SIGTERM where that wait is broken off.

        Raises StoppedError where that was asked for.
        """
        with self._lock:
            self._waited_for.add(process)
            if self._asked.is_set():
                process.terminate()
        try:
            yield
        except BaseException:
            process.terminate()
            process.communicate()
            raise
        finally:
            with self._lock:
                self._waited_for.discard(process)
        self.check()
