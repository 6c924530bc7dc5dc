"""A server on this machine in the API server's place, which answers every request as a test says."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from kubernetes.aio import client

from strategyrun.adapters.kube import Kube


@asynccontextmanager
async def answering(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[Kube]:
    """Give a connection to a server that answers so."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        async with Kube(client.Configuration(host=f"http://127.0.0.1:{port}")) as kube:
            yield kube
    finally:
        await runner.cleanup()
