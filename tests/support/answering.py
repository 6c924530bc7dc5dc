"""A server on this machine in the API server's place, which answers every request as a test says."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from kubernetes.aio import client

from strategyrun.adapters.kube import Kube

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handle: Handle) -> AsyncIterator[client.Configuration]:
    """Serve, and give what a connection to the server needs; an answer that nobody waits for any more ends."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield client.Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


@asynccontextmanager
async def answering(handle: Handle) -> AsyncIterator[Kube]:
    """Give a connection to a server that answers so."""
    async with serving(handle) as configuration, Kube(configuration) as kube:
        yield kube
