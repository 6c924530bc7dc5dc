"""Since when the API server can be heard: a time in which it could not counts against nobody."""

from collections.abc import Callable
from datetime import datetime

SILENCE_SECONDS = 5.0
"""A single answer gets lost at times, and says nothing of the others."""


class Contact:
    """Takes note of answers and of requests that had none."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._silent_since: datetime | None = None
        self.since: datetime | None = None
        """When the first answer came after this process began, or after the last silence; None before."""

    def heard(self) -> None:
        """Take note of an answer."""
        now, silent_since = self._now(), self._silent_since
        silence = (now - silent_since).total_seconds() if silent_since else 0.0
        if self.since is None or silence > SILENCE_SECONDS:
            self.since = now
        self._silent_since = None

    def missed(self) -> None:
        """Take note of a request that was not answered."""
        self._silent_since = self._silent_since or self._now()
