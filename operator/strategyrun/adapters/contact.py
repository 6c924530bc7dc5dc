"""Since when the API server can be heard: a time in which it could not counts against nobody."""

from datetime import datetime, timedelta

from strategyrun.adapters.clock import ServerClock

SILENCE_SECONDS = 5.0
"""A single answer gets lost at times, and says nothing of the others."""


class Contact:
    """Takes note of answers and of requests that had none."""

    def __init__(self, clock: ServerClock) -> None:
        self._clock = clock
        self._began: float | None = None
        self._silent_since: float | None = None

    @property
    def since(self) -> datetime | None:
        """When the first answer came after this process began, or after the last silence; None before."""
        if self._began is None:
            return None
        return self._clock.now() - timedelta(seconds=self._clock.steady() - self._began)

    def heard(self) -> None:
        """Take note of an answer."""
        now, silent_since = self._clock.steady(), self._silent_since
        if self._began is None or (silent_since is not None and now - silent_since > SILENCE_SECONDS):
            self._began = now
        self._silent_since = None

    def missed(self) -> None:
        """Take note of a request that was not answered."""
        if self._silent_since is None:
            self._silent_since = self._clock.steady()
