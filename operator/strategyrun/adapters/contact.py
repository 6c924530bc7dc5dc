"""Since when the API server can be heard: a time in which it could not counts against nobody."""

from datetime import datetime, timedelta

from strategyrun.adapters.clock import ServerClock

SILENCE_SECONDS = 5.0
"""What is shorter is none, nor is one answer that is lost: it says nothing of the others."""


class Contact:
    """Takes note of answers and of requests that had none."""

    def __init__(self, clock: ServerClock) -> None:
        self._clock = clock
        self._began: float | None = None
        self._silent_since: float | None = None
        self._lost = 0

    @property
    def since(self) -> datetime | None:
        """When the first answer came after this process began, or after the last silence; None before."""
        if self._began is None:
            return None
        return self._clock.now() - timedelta(seconds=self._clock.steady() - self._began)

    def heard(self) -> None:
        """Take note of an answer."""
        now = self._clock.steady()
        silent = self._silent_since is not None and self._lost > 1 and now - self._silent_since > SILENCE_SECONDS
        if self._began is None or silent:
            self._began = now
        self._silent_since, self._lost = None, 0

    def missed(self) -> None:
        """Take note of a request that was not answered."""
        self._lost += 1
        if self._silent_since is None:
            self._silent_since = self._clock.steady()
