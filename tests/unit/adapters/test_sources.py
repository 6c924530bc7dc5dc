"""How what runs name is read: the real client against a real HTTP server."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from aiohttp import web

from strategyrun.adapters.observer import Observer
from strategyrun.adapters.sources import READS_AT_ONCE, Sources
from strategyrun.domain.strategyrun import StrategyRun
from support.answering import answering
from support.builders import NOW, make_run


class Server:
    """An API server that has no ConfigMap, and answers once it is let."""

    def __init__(self) -> None:
        self.now = NOW
        self.asked: list[str] = []
        self.answers = asyncio.Event()
        self.is_asked = asyncio.Condition()

    async def answer(self, request: web.Request) -> web.Response:
        """Say that there is none."""
        async with self.is_asked:
            self.asked.append(request.path.removeprefix("/api/v1/namespaces/"))
            self.is_asked.notify_all()
        await self.answers.wait()
        return web.json_response({"reason": "NotFound", "message": "no"}, status=404)

    async def until_asked(self, times: int) -> None:
        """Wait for so many requests."""
        async with self.is_asked:
            await self.is_asked.wait_for(lambda: len(self.asked) >= times)


def naming(name: str, namespace: str = "a") -> StrategyRun:
    """Build a run whose source is in a ConfigMap."""
    return make_run(namespace=namespace, source={"configMapRef": {"name": name, "key": "x.py"}})


def play(act: Callable[[Server, Sources], Awaitable[Any]]) -> None:
    """Let sources read from the server while a test acts."""

    async def work() -> None:
        server = Server()
        async with answering(server.answer) as kube:
            await act(server, Sources(kube, Observer(kube, clock=lambda: server.now), lambda: server.now))

    asyncio.run(work())


def test_one_answer_that_it_is_not_there_serves_all_that_name_it() -> None:
    """Thousands of runs may name a ConfigMap that nobody has made, and each asks again and again."""

    async def act(server: Server, sources: Sources) -> None:
        server.answers.set()
        vetted = await asyncio.gather(*(sources.vet(naming("nowhere")) for _ in range(50)))
        assert {each.missing.message for each in vetted if each.missing} == {
            "there is no ConfigMap nowhere in namespace a"
        }
        assert len(server.asked) <= READS_AT_ONCE

    play(act)


def test_it_is_asked_for_again_soon() -> None:
    """And of another name, or in another namespace, nothing was said."""

    async def act(server: Server, sources: Sources) -> None:
        server.answers.set()
        await sources.vet(naming("nowhere"))
        await sources.vet(naming("nowhere"))
        await sources.vet(naming("elsewhere"))
        await sources.vet(naming("nowhere", "b"))
        server.now += timedelta(seconds=1)
        await sources.vet(naming("nowhere"))
        assert server.asked == [
            "a/configmaps/nowhere",
            "a/configmaps/elsewhere",
            "b/configmaps/nowhere",
            "a/configmaps/nowhere",
        ]

    play(act)


def test_few_are_read_at_once_and_nobody_waits_behind_the_burst_of_another_namespace() -> None:
    """What else the operator asks for stands behind those few alone."""

    async def act(server: Server, sources: Sources) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(5 * READS_AT_ONCE):
                tasks.create_task(sources.vet(naming(f"burst-{number}")))
            await server.until_asked(READS_AT_ONCE)
            tasks.create_task(sources.vet(naming("calm", "b")))
            await asyncio.sleep(0)
            assert len(server.asked) == READS_AT_ONCE
            server.answers.set()
        assert server.asked.index("b/configmaps/calm") < 2 * READS_AT_ONCE

    play(act)
