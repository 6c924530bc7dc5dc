"""All that happened to the objects of a kind, not only what is left of it."""

from collections.abc import Callable
from pprint import pformat
from threading import Condition, Thread
from types import TracebackType
from typing import Self, TypeVar

from support.cluster import Cluster, Kind, Manifest
from support.waiting import StillNotError

Change = tuple[str, Manifest]
Found = TypeVar("Found")

_WATCH_SECONDS = 3
"""A watch tells where it stands 2 s before its end at the latest, and that is what a reader waits for."""

_READ_SECONDS = 120


class Journal:
    """The changes since it was opened, as the API server tells them: each with its type and the object after it.

    It is followed all the time from entering it to leaving it, for the API server forgets within minutes.
    """

    def __init__(self, cluster: Cluster, kind: Kind, namespace: str) -> None:
        self._cluster = cluster
        self._kind = kind
        self._namespace = namespace
        self._since = cluster.version(kind, namespace)
        self._changes: list[Change] = []
        self._news = Condition()
        self._error: Exception | None = None
        self._closed = False
        self._thread = Thread(target=self._run, name=f"journal of {kind.kind}", daemon=True)

    def __enter__(self) -> Self:
        """Begin to follow."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the open watch be the last."""
        self._closed = True

    def read(self) -> list[Change]:
        """Return all changes until now.

        Raises what ended the following, and StillNotError where the watch stays behind what the API server lists.
        """
        now = int(self._cluster.version(self._kind, self._namespace))
        return self._until(
            f"{self._kind.kind}s are followed to version {now}",
            lambda: [*self._changes] if int(self._since) >= now else None,
            _READ_SECONDS,
        )

    def wait(self, what: str, holds: Callable[[Manifest], object], *, seconds: float) -> Manifest:
        """Return the first object that holds, among all that have changed since the opening, as soon as there is one.

        Raises what ended the following, and StillNotError with the last change after the given seconds.
        """
        return self._until(what, lambda: next((seen for _, seen in self._changes if holds(seen)), None), seconds)

    def _until(self, what: str, look: Callable[[], Found | None], seconds: float) -> Found:
        with self._news:
            self._news.wait_for(lambda: self._error or look() is not None, seconds)
            if (found := look()) is not None:
                return found
            if self._error:
                raise self._error
            last = pformat(self._changes[-1:], width=110)
            raise StillNotError(f"after {seconds:g} s still not: {what}\nlast change:\n{last}")

    def _run(self) -> None:
        try:
            while not self._closed:
                self._follow()
        except Exception as error:  # noqa: BLE001 - told to whoever reads
            with self._news:
                self._error = error
                self._news.notify_all()

    def _follow(self) -> None:
        for change, seen in self._cluster.watch(
            self._kind, self._namespace, since=self._since, seconds=_WATCH_SECONDS, bookmarks=True
        ):
            with self._news:
                if change != "BOOKMARK":
                    self._changes.append((change, seen))
                self._since = seen["metadata"]["resourceVersion"]
                self._news.notify_all()


Open = Callable[[Kind], Journal]
"""Opens the journal of a kind in a test's namespace; it is closed with the test."""
