"""What kopf is asked to do, and what it is kept from doing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import kopf
import pytest
from kubernetes.aio import client

from strategyrun.adapters.backoff import patiently
from strategyrun.adapters.controller import Controller
from strategyrun.adapters.kopf_source import Shell, kopf_settings, require_listing
from strategyrun.adapters.kube import PROFILES, RUNS, Kube
from strategyrun.adapters.observer import Observer
from strategyrun.domain.sandbox import Profile
from support.builders import job_body, pod_body, run_body
from support.clock import run_virtually
from support.operator import UNSCHEDULABLE

Call = Callable[..., Awaitable[Any]]


class Listener(Controller):
    """A controller that writes down what it is told, and works until it is cancelled or broken."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str | None, Any]] = []
        self.broken = asyncio.Event()
        self.working = False

    def on_run(self, event: str | None, body: dict[str, Any]) -> None:
        """Write it down."""
        self.heard.append(("run", event, body))

    def on_job(self, event: str | None, body: dict[str, Any]) -> None:
        """Write it down."""
        self.heard.append(("job", event, body))

    def on_pod(self, event: str | None, body: dict[str, Any]) -> None:
        """Write it down."""
        self.heard.append(("pod", event, body))

    async def run(self) -> None:
        """Work."""
        self.working = True
        try:
            await self.broken.wait()
        finally:
            self.working = False
        raise ZeroDivisionError("a defect")


def shell(
    controller: Controller | None = None,
    stop: asyncio.Event | None = None,
    configuration: client.Configuration | None = None,
) -> Shell:
    """Build the shell on a connection that is never used."""
    kube = Kube(configuration or client.Configuration(host="https://10.96.0.1"))
    observer = Observer(kube)
    return Shell(kube, controller or Controller(kube, UNSCHEDULABLE, observer), observer, stop or asyncio.Event())


def registry() -> kopf.OperatorRegistry:
    """Register everything; a connection needs a loop, if only to be made."""

    async def work() -> kopf.OperatorRegistry:
        return shell().registry()

    return run_virtually(work())


def test_kopf_only_watches() -> None:
    """Events of three kinds: no handler that keeps state on objects, blocks deletion or serves admission."""
    known = registry()
    watched = {
        (handler.selector.group, handler.selector.version, handler.selector.any_name)
        for handler in known._watching.get_all_handlers()
        if handler.selector
    }
    assert watched == {
        ("finlab-sandbox.dev", "v1alpha1", "strategyruns"),
        ("batch", "v1", "jobs"),
        ("", "v1", "pods"),
    }
    for kind in (known._changing, known._spawning, known._indexing, known._webhooks):
        assert not kind.get_all_handlers()


def test_profiles_and_nodes_are_watched_where_there_are_profiles() -> None:
    """And what happens to them reaches those who keep them."""

    async def work() -> tuple[set[Any], Profile | None, Profile | None]:
        kube = Kube(client.Configuration(host="https://10.96.0.1"))
        observer = Observer(kube)
        controller = Controller(kube, UNSCHEDULABLE, observer, profiles=PROFILES)
        registered = Shell(kube, controller, observer, asyncio.Event(), PROFILES).registry()
        handlers = registered._watching.get_all_handlers()
        tell = {each.selector.any_name: cast("Call", each.fn) for each in handlers if each.selector}
        meta = {"name": "default", "resourceVersion": "1"}
        body = {"metadata": meta, "spec": UNSCHEDULABLE.profile.sandbox.document()}
        labels = {UNSCHEDULABLE.profile.seccomp.node_label: "ready"}
        node = {"metadata": {"name": "a", "resourceVersion": "2", "labels": labels}}
        await tell["sandboxprofiles"](type=None, body=kopf.Body(cast("Any", body)))
        before = controller.profiles.get("default")
        await tell["nodes"](type=None, body=kopf.Body(cast("Any", node)))
        return set(tell), before, controller.profiles.get("default")

    watched, before, after = run_virtually(work())
    assert watched == {"strategyruns", "jobs", "pods", "sandboxprofiles", "nodes"}
    assert before is not None
    assert before.obstacle is not None
    assert before.obstacle.reason == "SeccompProfileMissing"
    assert after is not None
    assert after.obstacle is None


def test_kopf_starts_and_ends_the_controller_and_asks_who_it_is() -> None:
    """No other activity: no fallback login, no probe."""
    activities = [handler.activity for handler in registry()._activities.get_all_handlers()]
    assert sorted(activity.value for activity in activities if activity) == ["authentication", "cleanup", "startup"]


def test_every_event_reaches_the_controller() -> None:
    """Whole, as plain documents, with its type; a listing has none."""

    async def work() -> list[tuple[str, str | None, Any]]:
        listener = Listener()
        handlers = shell(listener).registry()._watching.get_all_handlers()
        tell = {each.selector.any_name: cast("Call", each.fn) for each in handlers if each.selector}
        for name, body in {"strategyruns": run_body(), "jobs": job_body(), "pods": pod_body()}.items():
            for event in (None, "ADDED", "MODIFIED", "DELETED"):
                await tell[name](type=event, body=kopf.Body(cast("Any", body)), logger=None, memo=None)
        return listener.heard

    heard = run_virtually(work())
    assert [(kind, event) for kind, event, _ in heard] == [
        (kind, event) for kind in ("run", "job", "pod") for event in (None, "ADDED", "MODIFIED", "DELETED")
    ]
    assert all(type(body) is dict for _, _, body in heard)
    assert [heard[0][2], heard[4][2], heard[8][2]] == [run_body(), job_body(), pod_body()]


async def activity(subject: Shell, name: str) -> Any:
    """Run one of kopf's activities."""
    handlers = subject.registry()._activities.get_all_handlers()
    (handler,) = [each for each in handlers if each.activity and each.activity.value == name]
    return await cast("Call", handler.fn)(settings=kopf_settings(), logger=None)


def test_the_controller_lives_between_start_and_cleanup() -> None:
    """Cleanup waits for its end, and ends what waits for ours, so that kopf finds no task to hang on."""

    async def work() -> None:
        listener, stop = Listener(), asyncio.Event()
        subject = shell(listener, stop)
        await activity(subject, "startup")
        await asyncio.sleep(1)
        assert listener.working
        await activity(subject, "cleanup")
        assert not listener.working
        assert subject.defect is None
        assert stop.is_set()

    run_virtually(work())


def test_a_controller_that_ends_ends_the_process() -> None:
    """What ended it is what the process ends with: an operator that only watches helps nobody."""

    async def work() -> None:
        listener, stop = Listener(), asyncio.Event()
        subject = shell(listener, stop)
        await activity(subject, "startup")
        listener.broken.set()
        await stop.wait()
        assert isinstance(subject.defect, ZeroDivisionError)
        await activity(subject, "cleanup")

    run_virtually(work())


def test_cleanup_without_a_start_is_harmless() -> None:
    """A start that failed is cleaned up too."""

    async def work() -> None:
        await activity(shell(), "cleanup")

    run_virtually(work())


def test_kopf_watches_as_the_client_that_acts() -> None:
    """The same address, the same authority, the same token: renewed where the client renews it."""
    tokens = iter(["first", "second"])

    def renew(configuration: client.Configuration) -> None:
        configuration.api_key["BearerToken"] = f"bearer {next(tokens)}"

    async def work() -> list[kopf.ConnectionInfo]:
        configuration = client.Configuration(host="https://10.96.0.1", ssl_ca_cert=None)
        configuration.api_key["BearerToken"] = "bearer stale"
        configuration.refresh_api_key_hook = cast("Any", renew)
        subject = shell(configuration=configuration)
        return [await activity(subject, "authentication") for _ in range(2)]

    first, second = run_virtually(work())
    assert (first.server, first.scheme, first.token) == ("https://10.96.0.1", "bearer", "first")
    assert second.token == "second"
    assert not first.insecure


def test_kopf_writes_nothing_and_scans_nothing() -> None:
    """No events posted, no CRDs or namespaces watched: the operator has no right to."""
    settings = kopf_settings()
    assert not settings.posting.enabled
    assert settings.scanning.disabled


@pytest.mark.parametrize("name", ["server_timeout", "client_timeout", "chunk_size"])
def test_numbers_that_reach_the_api_server_are_integers(name: str) -> None:
    """It cannot parse timeoutSeconds=600.0, and kopf sends what it is given."""
    assert type(getattr(kopf_settings().watching, name)) is int


def test_only_our_jobs_and_pods_are_watched() -> None:
    """Not every pod of the cluster passes through the operator."""
    selectors = kopf_settings().watching.label_selectors
    ours = "app.kubernetes.io/managed-by=finlab-sandbox-operator,app.kubernetes.io/component=strategy"
    assert selectors["batch", "v1", "jobs"] == ours
    assert selectors["", "v1", "pods"] == ours


def test_a_watch_outlives_what_the_server_grants() -> None:
    """The server ends a watch before the client gives it up, and a silent one is noticed in between."""
    watching = kopf_settings().watching
    assert watching.server_timeout is not None
    assert watching.client_timeout is not None
    assert watching.inactivity_timeout < watching.server_timeout < watching.client_timeout


class Late(Kube):
    """An API server that serves runs before it lists their group."""

    def __init__(self) -> None:
        self.runs = RUNS
        self.listed = ["apps", "finlab-sandbox.dev"]
        self.asked: list[str] = []

    async def send(self, method: str, path: str, **_: Any) -> dict[str, Any]:
        """List one group more each time."""
        self.asked.append(f"{method} {path}")
        return {"groups": [{"name": name} for name in self.listed[: len(self.asked)]]}


def test_kopf_looks_for_runs_when_their_group_is_listed() -> None:
    """It looks once, and one part of the API server lists what another one serves already."""
    kube = Late()
    run_virtually(patiently("looking", lambda: require_listing(kube)))
    assert kube.asked == ["GET /apis"] * 2
