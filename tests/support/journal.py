"""All that happened to the objects of a kind, not only what is left of it."""

from collections.abc import Callable
from pprint import pformat

from support.cluster import Cluster, Kind, Manifest
from support.waiting import StillNotError

Change = tuple[str, Manifest]


class Journal:
    """The changes since it was opened, as the API server tells them: each with its type and the object after it."""

    def __init__(self, cluster: Cluster, kind: Kind, namespace: str) -> None:
        self._cluster = cluster
        self._kind = kind
        self._namespace = namespace
        self._since = cluster.version(kind, namespace)
        self._changes: list[Change] = []

    def read(self) -> list[Change]:
        """Return all changes until now. To be called every minute, for the API server forgets."""
        self._follow(lambda _: False, seconds=1)
        return self._changes

    def wait(self, what: str, holds: Callable[[Manifest], object], *, seconds: int) -> Manifest:
        """Return the first object that holds, among those that change from now on.

        Raises StillNotError with the last change after the given seconds.
        """
        found = self._follow(holds, seconds=seconds)
        if found is None:
            last = pformat(self._changes[-1:], width=110)
            raise StillNotError(f"after {seconds} s still not: {what}\nlast change:\n{last}")
        return found

    def _follow(self, holds: Callable[[Manifest], object], *, seconds: int) -> Manifest | None:
        for change, seen in self._cluster.watch(self._kind, self._namespace, since=self._since, seconds=seconds):
            self._since = seen["metadata"]["resourceVersion"]
            self._changes.append((change, seen))
            if holds(seen):
                return seen
        return None
