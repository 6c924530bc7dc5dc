"""Who may have a Job: a window of active runs, shared fairly between namespaces.

A namespace's own runs stand in line by priority, then by age. Between namespaces the turn goes to the one
with the fewest active runs, so nobody waits behind the burst of somebody else, and a namespace that may
not start anything now, because it is full or its quota is spent, is passed over.
"""

import sys
from bisect import bisect_left, insort
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple


class Ticket(NamedTuple):
    """A run that wants a slot."""

    key: str
    namespace: str
    priority: int
    since: datetime

    @property
    def order(self) -> tuple[int, datetime, str]:
        """Where it stands among those of its namespace."""
        return (-self.priority, self.since, self.key)


@dataclass(frozen=True)
class Place:
    """Where a run stands: position 0 means that it may go now."""

    position: int
    reason: str = ""
    quota: bool = False
    """Whether it waits for the namespace's ResourceQuota."""


class Slots:
    """The runs that hold a slot, and the lines of those that wait for one."""

    def __init__(self, limit: int, *, per_namespace: int | None = None) -> None:
        self._limit = limit
        self._per_namespace = sys.maxsize if per_namespace is None else per_namespace
        self._holders: dict[str, str] = {}
        self._active: Counter[str] = Counter()
        self._lines: dict[str, list[tuple[tuple[int, datetime, str], Ticket]]] = {}
        self._waiting: dict[str, Ticket] = {}
        self._paused: dict[str, datetime] = {}

    def place(self, ticket: Ticket, now: datetime) -> Place:
        """Tell whether a run holds a slot or would get one now, and else where it stands and why."""
        if ticket.key in self._holders:
            return Place(0)
        joins = ticket.key not in self._waiting
        if joins:
            self._join(ticket)
        try:
            if ticket.key in self.next(now):
                return Place(0)
            return self._standing(self._waiting[ticket.key])
        finally:
            if joins:
                self._leave_line(ticket.key)

    def take(self, key: str, namespace: str) -> None:
        """Hold a slot, also beyond the limit: a run that is active after a restart is a fact."""
        self._leave_line(key)
        if key not in self._holders:
            self._holders[key] = namespace
            self._active[namespace] += 1

    def wait(self, ticket: Ticket) -> bool:
        """Stand in line; tell whether a slot became free."""
        held = self._release(ticket.key)
        if self._waiting.get(ticket.key) != ticket:
            self._leave_line(ticket.key)
            self._join(ticket)
        return held

    def leave(self, key: str) -> bool:
        """Give up slot and place; tell whether there was one."""
        return self._release(key) | self._leave_line(key)

    def pause(self, namespace: str, until: datetime) -> None:
        """Start nothing in a namespace for a while, or until one of its runs ends: its quota is spent."""
        self._paused[namespace] = until

    def next(self, now: datetime) -> tuple[str, ...]:
        """Return the runs in the lines for whom there is a slot now, in the order of their turns."""
        self._paused = {namespace: until for namespace, until in self._paused.items() if until > now}
        heads = [
            (self._active[namespace], line[0][1].since, namespace, 0)
            for namespace, line in self._lines.items()
            if namespace not in self._paused and self._active[namespace] < self._per_namespace
        ]
        heapify(heads)
        chosen: list[str] = []
        while heads and len(chosen) < self._limit - len(self._holders):
            active, _, namespace, index = heads[0]
            line = self._lines[namespace]
            chosen.append(line[index][1].key)
            index, active = index + 1, active + 1
            if index < len(line) and active < self._per_namespace:
                heapreplace(heads, (active, line[index][1].since, namespace, index))
            else:
                heappop(heads)
        return tuple(chosen)

    def _standing(self, ticket: Ticket) -> Place:
        own = self._rank(ticket)
        if ticket.namespace in self._paused:
            return Place(own + 1, f"the ResourceQuota of namespace {ticket.namespace} is spent", quota=True)
        active = self._active[ticket.namespace]
        if active >= self._per_namespace:
            return Place(own + 1, f"{active} of {self._per_namespace} slots of namespace {ticket.namespace} are taken")
        ahead = sum(self._turns_before(namespace, active + own, ticket) for namespace in self._lines)
        free = max(0, self._limit - len(self._holders))
        return Place(max(1, own + ahead - free + 1), f"{len(self._holders)} of {self._limit} slots are taken")

    def _turns_before(self, namespace: str, turn: int, ticket: Ticket) -> int:
        """Count the runs of another namespace that come before a run whose namespace then has `turn` active ones."""
        if namespace == ticket.namespace or namespace in self._paused:
            return 0
        line, active = self._lines[namespace], self._active[namespace]
        earlier = max(0, min(len(line), turn - active, self._per_namespace - active))
        tie = turn - active
        if 0 <= tie < len(line) and tie < self._per_namespace - active and line[tie][1].since < ticket.since:
            earlier += 1
        return earlier

    def _rank(self, ticket: Ticket) -> int:
        return bisect_left(self._lines[ticket.namespace], (ticket.order, ticket))

    def _join(self, ticket: Ticket) -> None:
        self._waiting[ticket.key] = ticket
        insort(self._lines.setdefault(ticket.namespace, []), (ticket.order, ticket))

    def _leave_line(self, key: str) -> bool:
        ticket = self._waiting.pop(key, None)
        if ticket is None:
            return False
        line = self._lines[ticket.namespace]
        del line[bisect_left(line, (ticket.order, ticket))]
        if not line:
            del self._lines[ticket.namespace]
        return True

    def _release(self, key: str) -> bool:
        namespace = self._holders.pop(key, None)
        if namespace is None:
            return False
        self._paused.pop(namespace, None)  # what it used of the quota may be free
        self._active[namespace] -= 1
        if not self._active[namespace]:
            del self._active[namespace]
        return True
