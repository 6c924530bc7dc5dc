"""A loopback proxy before the API server: what goes wrong between it and an operator goes wrong here."""

import asyncio
import json
import selectors
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from ssl import create_default_context
from time import monotonic
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiohttp
from aiohttp import web
from yarl import URL

from support.operator import Call
from support.ports import free_port
from support.rig import Rig
from support.waiting import PATIENCE, let_go, wait_until

_HOP_BY_HOP = {"connection", "content-length", "host", "transfer-encoding"}
_LINE_BYTES = 8 << 20
"""Of one event of a watch, at most."""


class Answer(NamedTuple):
    """What the API server answered, or what is answered in its place."""

    status: int
    body: bytes
    headers: dict[str, str]


Forward = Callable[[], Awaitable[Answer | None]]
"""What lets a request go on its way."""
Act = Callable[[Forward], Awaitable[Answer | None]]
"""What becomes of a request: its answer, or None for a connection that breaks."""
When = Callable[[Call], bool]
Events = Callable[[bytes], list[bytes]]
"""What becomes of one line of a watch."""


def anything(call: Call) -> bool:
    """Select every request but watches."""
    return call.verb != "watch"


def writes(call: Call) -> bool:
    """Select what changes the cluster."""
    return call.writes


def to(verb: str, resource: str) -> When:
    """Select one kind of request, in the words of RBAC."""
    return lambda call: (call.verb, call.resource) == (verb, resource)


def to_phase(*phases: str) -> When:
    """Select the writes of a status with one of these phases."""
    writes_status = to("patch", "strategyruns/status")

    def when(call: Call) -> bool:
        return writes_status(call) and json.loads(call.body)["status"]["phase"] in phases

    return when


def refuse(status: HTTPStatus, reason: str, *, retry_after: int | None = None) -> Act:
    """Answer instead of the API server."""

    async def act(_: Forward) -> Answer:
        document = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": int(status),
            "reason": reason,
            "message": f"{reason}: said by the fault proxy",
        }
        waiting = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return Answer(status, json.dumps(document).encode(), {"Content-Type": "application/json"} | waiting)

    return act


async def pass_on(forward: Forward) -> Answer | None:
    """Let the API server do it and answer."""
    return await forward()


async def lose_reply(forward: Forward) -> None:
    """Let the API server do it, and break the connection instead of answering."""
    await forward()


async def lose_request(_: Forward) -> None:
    """Break the connection before the API server hears of it."""


def kill(victim: Callable[[], None], *, committed: bool) -> Act:
    """Kill the one who asks, when the API server has done it or before it hears of it."""

    async def act(forward: Forward) -> None:
        if committed:
            await forward()
        victim()

    return act


def remember(answers: dict[str, Answer]) -> Callable[[Call], Act]:
    """Keep the answers, by resource."""

    def of(call: Call) -> Act:
        async def act(forward: Forward) -> Answer | None:
            answer = await forward()
            if answer is not None:
                answers[call.resource] = answer
            return answer

        return act

    return of


def replay(answers: dict[str, Answer]) -> Callable[[Call], Act]:
    """Answer as it was remembered."""

    def of(call: Call) -> Act:
        async def act(_: Forward) -> Answer:
            return answers[call.resource]

        return act

    return of


class Fault:
    """Something that happens to the requests that it is meant for."""

    def __init__(self, act: Callable[[Call], Act], when: When, skip: int, times: int | None) -> None:
        self._act = act
        self._when = when
        self._skip = skip
        self._left = times
        self._happened = threading.Event()
        self.met_at: list[float] = []
        """Each time that it has happened, by the monotonic clock."""

    @property
    def met(self) -> int:
        """Count how often it has happened."""
        return len(self.met_at)

    def take(self, call: Call, forward: Forward) -> Forward | None:
        """Return what becomes of a request, if this fault is meant for it."""
        if not self._when(call) or self._left == 0:
            return None
        if self._skip:
            self._skip -= 1
            return None
        self._left = None if self._left is None else self._left - 1
        act = self._act(call)

        async def happen() -> Answer | None:
            try:
                return await act(forward)
            finally:
                self.met_at.append(monotonic())
                self._happened.set()

        return happen

    def wait(self, seconds: float) -> bool:
        """Wait until it has happened, at most so long; tell whether it has."""
        return self._happened.wait(seconds)


class FaultProxy:
    """Serves in a thread of this process. `kubeconfig` leads through it."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        port = free_port()
        self._port = port
        self._upstream = URL(f"https://127.0.0.1:{rig.port}")
        self._trust = create_default_context(cafile=str(rig.certificate))
        self.kubeconfig = rig.kubeconfig_by(f"http://127.0.0.1:{port}", folder / "kubeconfig-proxy")
        self._faults: tuple[Fault, ...] = ()
        self._events: Events = _unchanged
        self._watches: dict[web.StreamResponse, web.Request] = {}
        self.created: Counter[tuple[str, str]] = Counter()
        """How often an object came to be, by resource and name."""
        self._sockets = selectors.DefaultSelector()
        self._runner = asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(self._sockets))
        self._loop = self._runner.get_loop()
        self._stop = asyncio.Event()
        self._serving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fault proxy")

    def __enter__(self) -> Self:
        """Start to serve."""
        self._thread.start()
        assert self._serving.wait(30), "the fault proxy does not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and break every connection."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=2 * PATIENCE)
        assert not self._thread.is_alive(), "the fault proxy does not stop"

    @contextmanager
    def fault(self, act: Act, when: When, *, skip: int = 0, times: int | None = None) -> Iterator[Fault]:
        """Let something happen to the requests that `when` selects: after so many, and so often."""
        with self.fault_by_call(lambda _: act, when, skip=skip, times=times) as fault:
            yield fault

    @contextmanager
    def fault_by_call(
        self, act: Callable[[Call], Act], when: When, *, skip: int = 0, times: int | None = None
    ) -> Iterator[Fault]:
        """Let something happen that depends on the request."""
        fault = Fault(act, when, skip, times)
        self._faults = (*self._faults, fault)
        try:
            yield fault
        finally:
            self._faults = tuple(each for each in self._faults if each is not fault)

    @contextmanager
    def events(self, change: Events) -> Iterator[None]:
        """Change what watches tell."""
        self._events = change
        try:
            yield
        finally:
            self._events = _unchanged

    def wait_watches(self) -> None:
        """Wait until runs, Jobs and pods are watched: an operator that is ready opens its watches by and by."""
        wait_until("all is watched", lambda: len(self._watches), lambda found: found >= 3)

    def end_watches(self, code: HTTPStatus) -> None:
        """Tell every open watch of an error, and end it."""
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": int(code), "message": code.phrase}
        line = json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
        asyncio.run_coroutine_threadsafe(self._end_watches(line), self._loop).result(PATIENCE)

    def _run(self) -> None:
        with self._runner:
            self._runner.run(self._serve())
            self._runner.run(let_go(self._sockets))

    async def _serve(self) -> None:
        async with self._session() as self._client:
            application = web.Application(client_max_size=_LINE_BYTES)
            application.router.add_route("*", "/{path:.*}", self._handle)
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
            self._serving.set()
            await self._stop.wait()
            for request in list(self._watches.values()):
                _break(request)
            await runner.cleanup()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[aiohttp.ClientSession]:
        connector = aiohttp.TCPConnector(limit=0, ssl=self._trust)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
            yield session

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        watches = request.query.get("watch") == "true"
        call = Call.of(request.method, request.path)._replace(body=await request.read())
        call = call._replace(verb="watch") if watches else call

        async def forward() -> Answer:
            return await self._forward(request, call)

        taken = (fault.take(call, forward) for fault in self._faults)
        step = next((step for step in taken if step is not None), None)
        if watches and step is None:
            return await self._watch(request)
        with suppress(aiohttp.ClientError):
            answer = await (step or forward)()
            if answer is not None:
                return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        _break(request)
        return web.Response()

    async def _forward(self, request: web.Request, call: Call) -> Answer:
        async with self._upstream_request(request, call.body) as response:
            body = await response.read()
        if call.verb == "create" and response.status < 300:
            self.created[call.resource, json.loads(body)["metadata"]["name"]] += 1
        return Answer(response.status, body, _passed_on(response.headers))

    def _upstream_request(self, request: web.Request, body: bytes = b"") -> Any:
        return self._client.request(
            request.method,
            self._upstream.join(URL(request.raw_path, encoded=True)),
            headers=_passed_on(request.headers) | {"Accept-Encoding": "identity"},
            data=body or None,
            read_bufsize=_LINE_BYTES,
        )

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        told = web.StreamResponse()
        with suppress(aiohttp.ClientError, ConnectionError):
            async with self._upstream_request(request) as response:
                told = web.StreamResponse(status=response.status, headers=_passed_on(response.headers))
                await told.prepare(request)
                self._watches[told] = request
                async for line in response.content:
                    for each in self._events(line):
                        await told.write(each)
        if self._watches.pop(told, None) is None:
            _break(request)
        return told

    async def _end_watches(self, line: bytes) -> None:
        watches, self._watches = self._watches, {}
        for told, request in watches.items():
            with suppress(ConnectionError):
                await told.write(line)
                await told.write_eof()
            _break(request)


def dropping(every: int) -> Events:
    """Drop one event in so many; bookmarks pass."""
    count = 0

    def change(line: bytes) -> list[bytes]:
        nonlocal count
        count += 1
        return [] if count % every == 0 and b'"BOOKMARK"' not in line[:40] else [line]

    return change


def twice(line: bytes) -> list[bytes]:
    """Tell everything twice."""
    return [line, line]


def silence(_: bytes) -> list[bytes]:
    """Tell nothing, and leave the connection open."""
    return []


def _unchanged(line: bytes) -> list[bytes]:
    return [line]


def _break(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _passed_on(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}
