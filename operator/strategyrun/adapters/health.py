"""Liveness and readiness from the controller's own facts, not from the event loop's pulse."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from strategyrun.adapters.controller import SWEEP_SECONDS, Controller

_STALE_SECONDS = 5 * SWEEP_SECONDS


@asynccontextmanager
async def health_server(controller: Controller, port: int) -> AsyncIterator[None]:
    """Serve /healthz (a sweep succeeded lately) and /readyz (the first one is done)."""

    async def ready(_: web.Request) -> web.Response:
        if controller.swept_at is None:
            return web.Response(status=503, text="the first sweep is not done\n")
        return web.Response(text="ok\n")

    async def healthy(request: web.Request) -> web.Response:
        if controller.swept_at is None:
            return await ready(request) if started + _STALE_SECONDS < loop.time() else web.Response(text="starting\n")
        age = loop.time() - controller.swept_at
        if age > _STALE_SECONDS:
            return web.Response(status=503, text=f"the last sweep was {age:.0f} s ago\n")
        return web.Response(text="ok\n")

    loop = asyncio.get_running_loop()
    started = loop.time()
    application = web.Application()
    application.add_routes([web.get("/healthz", healthy), web.get("/readyz", ready)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    try:
        yield
    finally:
        await runner.cleanup()
