"""kopf as event source and process shell: watches in, nothing written by kopf.

Only `on.event` handlers: they hold no state on objects, need no finalizer and cannot fail, since all
they do is tell the controller (docs/adr/0005-kopf-as-event-source.md).
"""

import asyncio
import signal
from contextlib import AsyncExitStack
from typing import Any

import kopf

from strategyrun.adapters.controller import Controller
from strategyrun.adapters.health import health_server
from strategyrun.adapters.kube import Kube
from strategyrun.adapters.settings import Settings
from strategyrun.domain import naming
from strategyrun.domain.strategyrun import GROUP, PLURAL, VERSION


def run_operator(settings: Settings, *, health_port: int) -> None:
    """Run until a signal ends the process, or until a watch breaks in a way that a fresh start mends."""
    shell = _Shell(settings, health_port)
    kopf.run(
        registry=shell.registry(),
        settings=_kopf_settings(),
        standalone=True,
        clusterwide=True,
    )
    if shell.defect is not None:
        raise shell.defect


class _Shell:
    """The controller's life inside kopf's."""

    def __init__(self, settings: Settings, health_port: int) -> None:
        self._settings = settings
        self._health_port = health_port
        self._stack = AsyncExitStack()
        self._controller: Controller | None = None
        self._task: asyncio.Task[None] | None = None
        self.defect: BaseException | None = None

    def registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        # Not by the service account alone: that way kopf looks for the API server by name, and needs DNS.
        kopf.on.login(registry=registry)(kopf.login_via_client)
        kopf.on.startup(registry=registry)(self._start)
        kopf.on.cleanup(registry=registry)(self._stop)
        kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)(self._on_run)
        kopf.on.event("batch", "v1", "jobs", registry=registry)(self._on_job)
        kopf.on.event("", "v1", "pods", registry=registry)(self._on_pod)
        return registry

    async def _start(self, **_: Any) -> None:
        kube = await self._stack.enter_async_context(await Kube.connect())
        self._controller = Controller(kube, self._settings)
        await self._stack.enter_async_context(health_server(self._controller, self._health_port))
        self._task = asyncio.create_task(self._controller.run())
        self._task.add_done_callback(self._ended)

    async def _stop(self, **_: Any) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._stack.aclose()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """End the process when the controller ends: an operator that only watches helps nobody."""
        if not task.cancelled():
            self.defect = task.exception() or RuntimeError("the controller ended")
            signal.raise_signal(signal.SIGTERM)

    async def _on_run(self, type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's name
        self._told().on_run(type, dict(body))

    async def _on_job(self, type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's name
        self._told().on_job(type, dict(body))

    async def _on_pod(self, type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's name
        self._told().on_pod(type, dict(body))

    def _told(self) -> Controller:
        if self._controller is None:
            raise RuntimeError("an event came before the start")
        return self._controller


def _kopf_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.queueing.idle_timeout = 2
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = (0.2, 0.5, 1, 2, 5, 10)
    settings.networking.enforce_retry_after = True
    # Integers: the API server cannot parse `timeoutSeconds=600.0`.
    settings.watching.server_timeout = 600
    settings.watching.client_timeout = 660
    settings.watching.connect_timeout = 5
    settings.watching.reconnect_backoff = 0.5
    settings.watching.label_selectors["batch", "v1", "jobs"] = naming.SELECTOR
    settings.watching.label_selectors["", "v1", "pods"] = naming.SELECTOR
    settings.process.ultimate_exiting_timeout = 10
    return settings
