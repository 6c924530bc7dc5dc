"""The operator in a thread of this process, its requests on record, against a real API server."""

import asyncio
import os
import selectors
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from kubernetes.aio import client, config

from strategyrun.adapters.kopf_source import operate
from strategyrun.adapters.kube import Kube, Resource
from strategyrun.adapters.lease import Lease
from strategyrun.adapters.settings import CanarySettings, QueueSettings, Settings
from strategyrun.domain.sandbox import Profile, Resources, Sandbox, SeccompProfile, Timeouts
from strategyrun.domain.strategyrun import PLURAL
from support.cluster import Cluster, Kind
from support.ports import free_port
from support.waiting import PATIENCE, let_go, wait_until

_NOWHERE = Resources(cpu="1000", memory="1Gi")

_SECCOMP = SeccompProfile.of(b"{}")

UNSCHEDULABLE = Settings(
    profile=Profile(
        name="default",
        sandbox=Sandbox(
            image="finlab-sandbox:none",
            image_pull_policy="Never",
            seccomp_profile="seccomp_profile.json",
            limits=_NOWHERE,
            requests=_NOWHERE,
            tmp="64Mi",
            out="64Mi",
            data="64Mi",
            timeouts=Timeouts(strategy_seconds=300, start_seconds=1200, load_seconds=60, evaluate_seconds=30),
        ),
        seccomp=_SECCOMP,
    ),
    queue=QueueSettings(max_active_runs=4, max_active_runs_per_namespace=4),
    canary=CanarySettings(every_seconds=900),
    seccomp={"seccomp_profile.json": _SECCOMP},
    canary_namespace="none",
)
"""Settings whose pods ask for more than any node has: they are created, and no kubelet ever sees them."""


def with_timeouts(settings: Settings, **seconds: int) -> Settings:
    """Return settings with other clocks."""
    return with_sandbox(settings, timeouts=settings.profile.sandbox.timeouts.model_copy(update=seconds))


def with_sandbox(settings: Settings, **changes: Any) -> Settings:
    """Return settings whose default profile has another sandbox."""
    changed = settings.profile.sandbox.model_copy(update=changes)
    return replace(settings, profile=settings.profile.model_copy(update={"sandbox": changed}))


def with_slots(settings: Settings, slots: int) -> Settings:
    """Return settings with another number of slots."""
    return replace(settings, queue=QueueSettings(max_active_runs=slots, max_active_runs_per_namespace=slots))


class Call(NamedTuple):
    """A request in the words of RBAC."""

    verb: str
    group: str
    resource: str
    name: str
    body: bytes = b""

    @classmethod
    def of(cls, method: str, path: str) -> "Call":
        """Read the API server's path; discovery is a request for no resource."""
        parts = path.strip("/").split("/")
        if len(parts) < (3 if parts[0] == "api" else 4):
            return cls("discover", "", path, "")
        group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
        if rest[0] == "namespaces" and len(rest) > 2:
            rest = rest[2:]
        resource, name, subresource = (*rest, "", "")[:3]
        verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(
            method, "get" if name else "list"
        )
        return cls(verb, group, f"{resource}/{subresource}" if subresource else resource, name)

    @property
    def writes(self) -> bool:
        """Whether the request changes the cluster."""
        return self.verb in ("create", "update", "patch", "delete")


Hook = Callable[[Call], Awaitable[None]]


async def _nothing(_: Call) -> None:
    return


class WatchedKube(Kube):
    """A connection that records its requests, and that a test may hold or break before and after each."""

    def __init__(
        self,
        configuration: client.Configuration,
        *,
        runs: Resource,
        before: Hook = _nothing,
        after: Hook = _nothing,
    ) -> None:
        super().__init__(configuration, runs=runs)
        self.calls: list[Call] = []
        self._before = before
        self._after = after

    async def exchange(self, method: str, path: str, **rest: Any) -> bytes:
        """Record the request and send it."""
        call = Call.of(method, path)
        await self._before(call)
        self.calls.append(call)
        answer = await super().exchange(method, path, **rest)
        await self._after(call)
        return answer


def resource_of(kind: Kind, plural: str = PLURAL) -> Resource:
    """Say where the StrategyRuns, or other objects, of a kind are kept."""
    group, version = kind.api_version.split("/")
    return Resource(group, version, plural)


async def configuration_of(cluster: Cluster, *, token: str | None = None) -> client.Configuration:
    """Return how the asynchronous client reaches the cluster: as its administrator, or with a token."""
    configuration = client.Configuration()
    await config.load_kube_config(config_file=str(cluster.kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call]
    if token is not None:
        configuration.cert_file = configuration.key_file = None
        configuration.api_key["BearerToken"] = f"Bearer {token}"
    return configuration


class RunningOperator:
    """The whole operator, kopf and all, on the StrategyRuns of one kind."""

    def __init__(
        self,
        cluster: Cluster,
        kind: Kind,
        settings: Settings = UNSCHEDULABLE,
        *,
        token: str | None = None,
        profiles: Resource | None = None,
        lease_namespace: str | None = None,
        before: Hook = _nothing,
        after: Hook = _nothing,
    ) -> None:
        self._cluster = cluster
        self._lease_namespace = lease_namespace
        self._runs = resource_of(kind)
        self.settings = settings
        self._token = token
        self._profiles = profiles
        self._hooks = {"before": before, "after": after}
        self.port = free_port()
        self._sockets = selectors.DefaultSelector()
        self._loop = asyncio.SelectorEventLoop(self._sockets)
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="operator")
        self._kube: WatchedKube | None = None
        self.error: BaseException | None = None
        """What ended the operator, if it was not asked to end."""

    @property
    def calls(self) -> list[Call]:
        """The requests so far; kopf's are not among them."""
        return list(self._kube.calls) if self._kube else []

    def __enter__(self) -> Self:
        """Start, and wait for readiness."""
        self._thread.start()
        wait_until("the operator is ready", lambda: _probe(self.port), lambda seen: seen == "ok\n" or self.error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and raise what ended the operator."""
        self.stop()
        if error is None and self.error is not None:
            raise self.error

    def stop(self) -> None:
        """Stop and wait for the end."""
        with suppress(RuntimeError):  # the loop is closed where the operator has ended by itself
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=2 * PATIENCE)
        assert not self._thread.is_alive(), "the operator does not stop"

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._operate())
        except Exception as error:  # noqa: BLE001 - told to the test's own thread
            self.error = error
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(let_go(self._sockets))
            self._loop.close()

    async def _operate(self) -> None:
        configuration = await configuration_of(self._cluster, token=self._token)
        async with WatchedKube(configuration, runs=self._runs, **self._hooks) as self._kube:
            await self.operate(self._kube, self._stop)

    async def operate(self, kube: WatchedKube, stop: asyncio.Event) -> None:
        """Work until the stop flag."""
        lease = Lease(kube, self._lease_namespace, f"test-{self.port}") if self._lease_namespace else None
        await operate(kube, self.settings, health_port=self.port, profiles=self._profiles, lease=lease, stop=stop)


class OperatorProcess:
    """The operator as a process of its own, to be told or to be killed."""

    def __init__(self, cluster: Cluster, kind: Kind, log: Path, *, lease_namespace: str = "") -> None:
        self.port = free_port()
        where = [str(cluster.kubeconfig), kind.api_version, str(self.port), lease_namespace]
        self._command = ["-m", "support.operator_main", *where]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start, and wait for readiness."""
        self.start()
        self.wait_ready()
        return self

    def start(self) -> None:
        """Start."""
        with self._log.open("ab") as log:
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
            environment.pop("KUBERNETES_SERVICE_HOST", None)  # it is no pod, though the tests may run in one
            self._process = subprocess.Popen([sys.executable, *self._command], stdout=log, stderr=log, env=environment)

    def wait_ready(self) -> None:
        """Wait for readiness."""
        wait_until(
            "the operator is ready",
            lambda: (_probe(self.port), self.exit_code),
            lambda seen: seen[0] == "ok\n" or seen[1] is not None,
        )
        assert self.exit_code is None, self.log

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill what is left."""
        self.kill()

    @property
    def log(self) -> str:
        """What it wrote."""
        return self._log.read_text()

    @property
    def exit_code(self) -> int | None:
        """How it ended, if it did."""
        return self._process.poll() if self._process else None

    def terminate(self) -> int:
        """Ask it to end, as a kubelet does, and return its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(timeout=PATIENCE)

    def kill(self) -> None:
        """End it between two instructions."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=PATIENCE)


def _probe(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError as error:
        return str(error)
