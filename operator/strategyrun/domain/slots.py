"""Who may have a Job: a window of active runs, first come first served."""

from bisect import bisect_left, insort
from datetime import datetime


class Slots:
    """The runs that hold a slot, and the line of those that wait for one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._holders: set[str] = set()
        self._line: list[tuple[datetime, str]] = []
        self._places: dict[str, tuple[datetime, str]] = {}

    def free_for(self, uid: str) -> bool:
        """Whether a run holds a slot or would get one now without passing somebody in the line."""
        if uid in self._holders:
            return True
        free = self._limit - len(self._holders)
        if free <= 0:
            return False
        place = self._places.get(uid)
        ahead = len(self._line) if place is None else bisect_left(self._line, place)
        return ahead < free

    def take(self, uid: str) -> None:
        """Hold a slot, also beyond the limit: a run that is active after a restart is a fact."""
        self._leave_line(uid)
        self._holders.add(uid)

    def wait(self, uid: str, since: datetime) -> bool:
        """Stand in the line, in the order of creation; tell whether a slot became free."""
        held = uid in self._holders
        self._holders.discard(uid)
        if uid not in self._places:
            self._places[uid] = (since, uid)
            insort(self._line, self._places[uid])
        return held

    def leave(self, uid: str) -> bool:
        """Give up slot and place; tell whether there was one."""
        held = uid in self._holders or uid in self._places
        self._holders.discard(uid)
        self._leave_line(uid)
        return held

    def next(self) -> tuple[str, ...]:
        """Return the runs in the line for whom there is a slot now."""
        free = max(0, self._limit - len(self._holders))
        return tuple(uid for _, uid in self._line[:free])

    def _leave_line(self, uid: str) -> None:
        place = self._places.pop(uid, None)
        if place is not None:
            del self._line[bisect_left(self._line, place)]
