"""Liveness and readiness from the controller's own facts, not from the event loop's pulse."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from aiohttp import web

from strategyrun.adapters.controller import SWEEP_SECONDS

STALE_SECONDS = 5 * SWEEP_SECONDS


class Sweeps(Protocol):
    """What the probes ask of the controller."""

    swept_at: float | None


@asynccontextmanager
async def health_server(controller: Sweeps, port: int) -> AsyncIterator[None]:
    """Serve /healthz (a sweep succeeded lately) and /readyz (the first one is done).

    Raises OSError where the port is taken.
    """

    async def ready(_: web.Request) -> web.Response:
        if controller.swept_at is None:
            return web.Response(status=503, text="the first sweep is not done\n")
        return web.Response(text="ok\n")

    async def healthy(_: web.Request) -> web.Response:
        age = loop.time() - (started if controller.swept_at is None else controller.swept_at)
        if age > STALE_SECONDS:
            return web.Response(status=503, text=f"no sweep for {age:.0f} s\n")
        return web.Response(text="starting\n" if controller.swept_at is None else "ok\n")

    loop = asyncio.get_running_loop()
    started = loop.time()
    application = web.Application()
    application.add_routes([web.get("/healthz", healthy), web.get("/readyz", ready)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        yield
    finally:
        await runner.cleanup()
