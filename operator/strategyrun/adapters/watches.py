"""Whether the watches live, by what they fail to tell.

kopf keeps to itself whether its streams live: bookmarks end inside it, a stream that is silent is opened
again without a word, and an object whose handling failed is set aside. So a watch is held to its purpose:
what a sweep has found on the API server, the watch has to tell too, soon.
"""

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

LATE_SECONDS = 30.0
"""A watch that is so far behind tells nothing any more; after a start it has the time to list everything."""


class _Told(NamedTuple):
    version: int
    at: float


class Watches:
    """What each watch has told, and what it owes."""

    def __init__(self, kinds: Iterable[str]) -> None:
        self._told: dict[str, dict[str, _Told]] = {kind: {} for kind in kinds}
        self._owed: dict[str, dict[str, _Told]] = {kind: {} for kind in kinds}

    def told(self, kind: str, event: str | None, body: dict[str, Any]) -> None:
        """Take note of what a watch has told; of an end too, for a list that has begun before may have the object."""
        uid, version = version_of(body)
        self._told[kind][uid] = _Told(version, _now())
        owed = self._owed[kind].get(uid)
        if owed and (owed.version <= version or event == "DELETED"):
            del self._owed[kind][uid]

    def listed(self, kind: str, versions: dict[str, int], began: float) -> None:
        """Compare with a whole list, versions by UID, whose first page was asked for at that time of the loop."""
        told, owed, now = self._told[kind], self._owed[kind], _now()
        for uid, version in versions.items():
            if uid not in told or told[uid].version < version:
                owed.setdefault(uid, _Told(version, now))
        for uid in [uid for uid in owed if uid not in versions]:
            del owed[uid]
        for uid in [uid for uid, last in told.items() if uid not in versions and last.at < began]:
            del told[uid]

    def behind(self, kind: str) -> float:
        """Return for how many seconds a watch has owed what it owes the longest; 0 where it owes nothing."""
        return max((_now() - each.at for each in self._owed[kind].values()), default=0.0)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that are watched."""
        return tuple(self._told)


def version_of(body: dict[str, Any]) -> tuple[str, int]:
    """Return an object's UID and version."""
    return body["metadata"]["uid"], int(body["metadata"]["resourceVersion"])


def _now() -> float:
    return asyncio.get_running_loop().time()
