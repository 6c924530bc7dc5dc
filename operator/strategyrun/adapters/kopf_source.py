"""kopf as event source and process shell: watches in, nothing written by kopf.

Only `on.event` handlers: they hold no state on objects, need no finalizer and cannot fail, since all
they do is tell the controller (docs/adr/0005-kopf-as-event-source.md).
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from http import HTTPStatus
from secrets import token_hex
from socket import gethostname
from typing import Any

import kopf

from strategyrun.adapters.backoff import patiently
from strategyrun.adapters.controller import Controller
from strategyrun.adapters.deep_json import read_deep_json
from strategyrun.adapters.health import Health, health_server
from strategyrun.adapters.kube import JOBS, NODES, PAGE, PODS, Kube, NotFoundError, Resource
from strategyrun.adapters.lease import HOST_MARK, Lease
from strategyrun.adapters.observer import Observer
from strategyrun.adapters.settings import Settings
from strategyrun.domain import naming
from strategyrun.domain.strategyrun import GROUP, KIND

Connect = Callable[[], Awaitable[Kube]]


def run_operator(
    settings: Settings,
    *,
    health_port: int,
    profiles: Resource | None = None,
    lease_namespace: str | None = None,
    connect: Connect = Kube.connect,
) -> None:
    """Run until a signal ends the process; with a namespace for the lease, only while this process holds it.

    Raises NoClusterError where nothing says which cluster, LeaseLostError, and whatever breaks the controller or a
    watch in a way that a fresh start mends.
    """
    read_deep_json()
    with suppress(asyncio.CancelledError):  # by SIGTERM, before kopf listened
        asyncio.run(_connect_and_operate(connect, settings, health_port, profiles, lease_namespace))


async def _connect_and_operate(
    connect: Connect, settings: Settings, health_port: int, profiles: Resource | None, lease_namespace: str | None
) -> None:
    if this := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)  # until kopf puts its own there
    async with await connect() as kube:
        mark = HOST_MARK if "KUBERNETES_SERVICE_HOST" in os.environ else "-"  # a pod's name is nobody else's
        lease = Lease(kube, lease_namespace, f"{gethostname()}{mark}{token_hex(4)}") if lease_namespace else None
        await operate(kube, settings, health_port=health_port, profiles=profiles, lease=lease)


async def operate(
    kube: Kube,
    settings: Settings,
    *,
    health_port: int,
    profiles: Resource | None = None,
    lease: Lease | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Wait for the lease where there is one, then watch and work until a signal or the stop flag.

    `profiles` is as of the Controller.

    Raises what ended the controller or the lease, or what kept it from starting.
    """
    observer, stop = Observer(kube), stop or asyncio.Event()
    controller = Controller(kube, settings, observer, profiles=profiles)
    observer.shows(controller, lease)
    async with health_server(Health(controller, observer, lease), health_port), AsyncExitStack() as held:
        losing = await held.enter_async_context(lease.hold(stop)) if lease else None
        if stop.is_set():
            return
        # Before the first watch: what is missing now (the CRD, a permission) kopf would only warn of.
        await controller.prepare()
        await patiently("looking for the group of runs", lambda: require_listing(kube))
        shell = Shell(kube, controller, observer, stop, profiles)
        if losing:
            losing.add_done_callback(shell.ended)
        await kopf.operator(
            registry=shell.registry(),
            settings=kopf_settings(),
            standalone=True,
            clusterwide=True,
            stop_flag=stop,
        )
    if shell.defect is not None:
        raise shell.defect


async def require_listing(kube: Kube) -> None:
    """Look whether the API server lists the group of runs, which it may serve before: kopf looks once.

    Raises NotFoundError, and what else a request raises.
    """
    group = kube.runs.group
    listed = await kube.send("GET", "/apis")
    if group not in {each["name"] for each in listed["groups"]}:
        raise NotFoundError(HTTPStatus.NOT_FOUND, f"the API server does not list the group {group} yet")


class Shell:
    """The controller's life inside kopf's, which ends every task that was begun in it."""

    def __init__(
        self,
        kube: Kube,
        controller: Controller,
        observer: Observer,
        stop: asyncio.Event,
        profiles: Resource | None = None,
    ) -> None:
        self._profiles = profiles
        self._kube = kube
        self._controller = controller
        self._observer = observer
        self._stop = stop
        self._work: asyncio.Task[None] | None = None
        self.defect: BaseException | None = None

    def registry(self) -> kopf.OperatorRegistry:
        """Register what kopf may call."""
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._log_in)
        kopf.on.startup(registry=registry)(self._start)
        kopf.on.cleanup(registry=registry)(self._end)
        runs = self._kube.runs
        kopf.on.event(runs.group, runs.version, runs.plural, registry=registry)(self._on_run)
        kopf.on.event(JOBS.group, JOBS.version, JOBS.plural, registry=registry)(self._on_job)
        kopf.on.event(PODS.group, PODS.version, PODS.plural, registry=registry)(self._on_pod)
        if self._profiles is not None:
            kept = self._profiles
            kopf.on.event(kept.group, kept.version, kept.plural, registry=registry)(self._on_profile)
            kopf.on.event(NODES.group, NODES.version, NODES.plural, registry=registry)(self._on_node)
        return registry

    async def _log_in(self, **_: Any) -> kopf.ConnectionInfo:
        """Let kopf watch as the one who acts, at the same address: a cluster need not have DNS."""
        known = await self._kube.credentials()
        return kopf.ConnectionInfo(
            server=known.server,
            ca_path=known.ca,
            scheme=known.scheme,
            token=known.token,
            certificate_path=known.certificate,
            private_key_path=known.key,
            insecure=known.insecure,
            proxy_url=known.proxy,
        )

    async def _start(self, **_: Any) -> None:
        self._work = asyncio.create_task(self._controller.run())
        self._work.add_done_callback(self.ended)

    async def _end(self, **_: Any) -> None:
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])
        self._stop.set()  # kopf gives whoever waits for it still five seconds

    def ended(self, task: asyncio.Task[None]) -> None:
        """End the process when the controller ends, or the lease: an operator that only watches helps nobody."""
        if not task.cancelled():
            self.defect = self.defect or task.exception() or RuntimeError("the controller ended")
            self._stop.set()

    async def _on_run(self, type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's name
        self._observer.watched(KIND, type, dict(body))
        self._controller.on_run(type, dict(body))

    async def _on_job(self, type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's name
        self._observer.watched("Job", type, dict(body))
        self._controller.on_job(type, dict(body))

    async def _on_pod(self, type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's name
        self._observer.watched("Pod", type, dict(body))
        self._controller.on_pod(type, dict(body))

    async def _on_profile(self, type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's name
        self._controller.profiles.on_profile(type, dict(body))

    async def _on_node(self, type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's name
        self._controller.profiles.on_node(type, dict(body))


class _NothingKept(kopf.DiffBaseStorage):
    """No object says what it was before: an author could write what kopf cannot read, and nobody heard of his run."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Find nothing in an object that is worth to be kept."""
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        """Find nothing that was kept."""

    def store(self, **_: Any) -> None:
        """Keep nothing."""


def kopf_settings() -> kopf.OperatorSettings:
    """Return settings under which kopf writes nothing, reads nothing of its own, and outlives what a network does."""
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = _NothingKept()
    settings.persistence.finalizer = f"{GROUP}/{token_hex(8)}"  # one that nobody has put on an object
    settings.queueing.error_delays = (1,)  # what nobody could handle is told, and tried at its next event
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
    settings.watching.chunk_size = PAGE
    settings.watching.label_selectors["batch", "v1", "jobs"] = naming.SELECTOR
    settings.watching.label_selectors["", "v1", "pods"] = naming.SELECTOR
    settings.process.ultimate_exiting_timeout = 10
    return settings
