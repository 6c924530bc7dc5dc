"""A few StrategyRuns in an API server's place: the test plays the operator, and says what goes wrong on the way."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from typer.testing import CliRunner, Result

from strategyrun import AsyncClient
from strategyrun.adapters.runs import RunsApi
from strategyrun.cli.program import application
from strategyrun.cli.session import connection
from strategyrun.client.asynchronous import Connect
from strategyrun.domain.strategyrun import NOT_SEEN, PLURAL
from support.answering import serving
from support.answers import body
from support.cluster import Manifest

DEEP = "ten thousand lists"

Instead = Callable[[], Awaitable[web.Response | None]]


class FewRuns:
    """Holds runs as an API server does: made, read, changed, listed, watched and deleted."""

    def __init__(self) -> None:
        self.runs: dict[str, Manifest] = {}
        self.asked: list[str] = []
        """Each request: its verb, and the run's name where it is about one."""
        self.instead: dict[str, Instead] = {}
        """What is answered to a request, or to all of its verb; None lets it go on its way."""
        self._changes: list[tuple[str, Manifest]] = []
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Connect]:
        """Give what opens a connection."""
        async with serving(self._handle) as configuration:

            async def connect() -> RunsApi:
                return RunsApi(configuration)

            yield connect

    @asynccontextmanager
    async def client(self) -> AsyncIterator[AsyncClient]:
        """Give a client of the namespace `research`."""
        async with self.serving() as connect, AsyncClient("research", connect=connect) as client:
            yield client

    async def put(self, name: str, written: Manifest | None = None, *, quietly: bool = False, **meta: Any) -> None:
        """Hold a run with this status; `quietly` tells no watch."""
        run = self.runs.setdefault(name, body(name))
        run["metadata"] |= meta
        run["status"] = written or NOT_SEEN
        if not quietly:
            await self._tell("MODIFIED", run)

    async def delete(self, name: str) -> None:
        """Hold it no more."""
        await self._tell("DELETED", self.runs.pop(name))

    async def made(self) -> str:
        """Wait for the one run that somebody makes, and for whoever follows it; return its name."""
        await self.until_asked("WATCH")
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(lambda: self.runs)
        (name,) = self.runs
        return name

    async def until_asked(self, what: str, times: int = 1) -> None:
        """Wait until this was asked for so often."""
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(lambda: self.asked.count(what) >= times)

    async def _tell(self, kind: str, run: Manifest) -> None:
        async with self._changed:
            self._changes.append((kind, json.loads(json.dumps(run))))
            self._changed.notify_all()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        name = request.path.partition(f"/{PLURAL}")[2].strip("/")
        verb = request.method if name or request.method != "GET" else "WATCH" if "watch" in request.query else "LIST"
        async with self._changed:
            self.asked.append(f"{verb} {name}".strip())
            self._changed.notify_all()
        await request.read()  # whole, as an API server does before it asks anybody; whoever sent it may go meanwhile
        instead = self.instead.get(self.asked[-1], self.instead.get(verb))
        if instead and (answer := await instead()):
            return answer
        match verb:
            case "WATCH":
                return await self._watch(request)
            case "LIST":
                meta = {"resourceVersion": str(len(self._changes))}
                return web.json_response({"metadata": meta, "items": [*self.runs.values()]})
            case "POST":
                made = await request.json()
                name = made["metadata"]["name"]
                self.runs[name] = made | {"metadata": {**made["metadata"], "generation": 1}}
                await self.put(name)
                return web.json_response(self.runs[name], status=201)
        if name not in self.runs:
            return refusal(404, "NotFound")
        if verb == "PATCH":
            patch = await request.json()
            meta = self.runs[name]["metadata"]
            meta["annotations"] = meta.get("annotations", {}) | patch.get("metadata", {}).get("annotations", {})
            if "spec" in patch:
                self.runs[name]["spec"] |= patch["spec"]
                meta["generation"] += 1
        return web.json_response(self.runs[name])

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        told = int(request.query["resourceVersion"])
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            async with self._changed:
                while len(self._changes) <= told:
                    await self._changed.wait()
            kind, run = self._changes[told]
            await response.write(json.dumps({"type": kind, "object": run}).encode() + b"\n")
            told += 1


def command(runs: FewRuns, *words: str) -> Result:
    """Run a command on the runs, in a thread of its own beside what it asks."""

    async def work() -> Result:
        async with runs.serving() as connect:
            connection.set(connect)
            asked = [*words, "-n", "research"]
            return await asyncio.to_thread(CliRunner().invoke, application(), asked, catch_exceptions=False)

    return asyncio.run(work())


def deep(content: object) -> web.Response:
    """Answer with a document that is nested, wherever DEEP stands in it, as deep as an API server takes it."""
    text = json.dumps(content).replace(f'"{DEEP}"', "[" * 9990 + "]" * 9990)
    return web.Response(text=text, content_type="application/json")


def refusal(status: int, reason: str) -> web.Response:
    """Say no, as an API server does."""
    return web.json_response({"reason": reason, "message": f"{reason}: said by the test"}, status=status)


async def refused() -> web.Response:
    """Answer that whoever asks has not the right."""
    return refusal(403, "Forbidden")


async def never() -> web.Response:
    """Answer nothing."""
    await asyncio.Event().wait()
    raise AssertionError
