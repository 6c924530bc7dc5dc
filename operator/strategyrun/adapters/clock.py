"""The API server's clock: it stamps what runs are judged by, so they are judged by it."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


class ServerClock:
    """Tells the API server's time, by the dates of its answers and a clock of this machine's that nobody sets.

    A date is a whole second, and was written between the question and the answer. What is thought of the server's clock
    is moved no further than that allows, so a machine whose own clock is right keeps its fractions of a second. One
    whose clock is wrong is right after the first answer, and one whose clock is set does not notice.
    """

    def __init__(self, *, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self.steady = steady
        """Seconds of this machine's own, by which questions and answers are timed."""
        self._ahead = wall() - steady()

    def now(self) -> datetime:
        """Return the time."""
        return datetime.fromtimestamp(self.steady() + self._ahead, UTC)

    def heard(self, date: str, asked: float, answered: float) -> None:
        """Take note of the date in an answer; one that is none says nothing."""
        with suppress(ValueError):
            second = parsedate_to_datetime(date).timestamp()
            self._ahead = min(max(self._ahead, second - answered), second + 1 - asked)
