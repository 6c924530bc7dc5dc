"""The journal that tests of the cluster read: whole, however late it is read, and whatever the API server forgets."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from kubernetes import client

from support.answering import serving
from support.cluster import POD, Cluster, RefusedError
from support.journal import Journal
from support.waiting import StillNotError, wait_until

PODS = {"name": "pods", "kind": "Pod", "namespaced": True}


class Server:
    """Pods as an API server tells of them: only to who asks from a version that it remembers."""

    def __init__(self) -> None:
        self.version = 1
        self.silent = 0
        """How many watches yet tell nothing at all."""
        self.told = 1
        """Up to which version a watch has told everything."""
        self._changes: list[tuple[int, str]] = []
        self._remembered = 1

    def change(self, name: str) -> None:
        """Make a pod."""
        self._changes.append((self.version + 1, name))
        self.version += 1

    def change_others(self) -> None:
        """Let the version go on by what is no pod."""
        self.version += 1

    def forget(self) -> None:
        """Forget all versions but this one."""
        self._remembered = self.version

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request; a watch tells what there is, and ends."""
        if request.path == "/api/v1":
            return web.json_response({"resources": [PODS]})
        if "watch" not in request.query:
            return web.json_response({"metadata": {"resourceVersion": str(self.version)}, "items": []})
        since = int(request.query["resourceVersion"])
        if since < self._remembered:
            gone = {"code": HTTPStatus.GONE, "message": f"too old resource version: {since}"}
            return _lines({"type": "ERROR", "object": gone})
        if self.silent:
            self.silent -= 1
            return _lines()
        version = self.version
        new = [_told("ADDED", at, name) for at, name in self._changes if since < at <= version]
        bookmarks = [_told("BOOKMARK", version)] if "allowWatchBookmarks" in request.query else []
        self.told = version
        return _lines(*new, *bookmarks)


def _told(change: str, version: int, name: str = "") -> dict[str, Any]:
    return {"type": change, "object": {"metadata": {"name": name, "resourceVersion": str(version)}}}


def _lines(*changes: dict[str, Any]) -> web.Response:
    return web.Response(text="".join(f"{json.dumps(change)}\n" for change in changes))


def on_server(test: Callable[[Cluster, Server], None]) -> None:
    """Run a test against a server of its own."""

    async def run() -> None:
        server = Server()
        async with serving(server.answer) as told:
            configuration = client.Configuration(host=told.host)
            await asyncio.to_thread(test, Cluster(Path(), client.ApiClient(configuration)), server)

    asyncio.run(run())


def names(journal: Journal) -> list[str]:
    """Read who was changed."""
    return [seen["metadata"]["name"] for _, seen in journal.read()]


def test_what_the_server_has_forgotten_is_in_the_journal() -> None:
    """It is followed from its opening, and not from the first reading."""

    def test(cluster: Cluster, server: Server) -> None:
        with Journal(cluster, POD, "default") as journal:
            server.change("early")
            wait_until("the change is told", lambda: server.told, lambda told: told == server.version)
            server.forget()
            server.change("late")
            assert names(journal) == ["early", "late"]

    on_server(test)


def test_a_reader_waits_for_what_was_changed_before() -> None:
    """However long the watches are silent."""

    def test(cluster: Cluster, server: Server) -> None:
        server.silent = 5
        with Journal(cluster, POD, "default") as journal:
            server.change("held back")
            assert names(journal) == ["held back"]

    on_server(test)


def test_a_reader_does_not_wait_for_changes_of_others() -> None:
    """That there was nothing is known by a bookmark."""

    def test(cluster: Cluster, server: Server) -> None:
        with Journal(cluster, POD, "default") as journal:
            server.change_others()
            assert journal.read() == []

    on_server(test)


def test_the_first_object_that_holds_is_waited_for() -> None:
    """Changed before the wait or after; where there is none in time, the last change is told."""

    def test(cluster: Cluster, server: Server) -> None:
        with Journal(cluster, POD, "default") as journal:
            server.change("first")
            server.change("second")
            assert names(journal) == ["first", "second"]
            found = journal.wait("any", lambda _: True, seconds=30)
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(
                    journal.wait, "the third", lambda pod: pod["metadata"]["name"] == "third", seconds=30
                )
                server.change("third")
                assert [each["metadata"]["name"] for each in (found, waiting.result())] == ["first", "third"]
            with pytest.raises(StillNotError, match=r"(?s)after 0 s still not: the fourth.*'name': 'third'"):
                journal.wait("the fourth", lambda _: False, seconds=0)

    on_server(test)


def test_what_ends_the_following_is_told_to_the_reader() -> None:
    """Rather than that nothing has changed."""

    def test(cluster: Cluster, server: Server) -> None:
        journal = Journal(cluster, POD, "default")
        server.change("lost")
        server.forget()
        with journal, pytest.raises(RefusedError, match="410: too old resource version: 1"):
            journal.read()
        with pytest.raises(RefusedError, match="410"):
            journal.wait("the lost one", bool, seconds=30)

    on_server(test)
