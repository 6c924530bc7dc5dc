"""What an operator of operators sees, against a real API server: numbers, events, the lease, readiness."""

import asyncio
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from strategyrun.adapters import controller, health
from strategyrun.adapters.kube import Credentials
from strategyrun.adapters.lease import NAME, TTL_SECONDS, LeaseLostError
from support import kubelet
from support.bench import Bench, count
from support.cluster import CHECKOUT, EVENT, Cluster, Kind, Manifest
from support.operator import Call, OperatorProcess, RunningOperator, WatchedKube, configuration_of
from support.ports import free_port
from support.proxy import Proxy
from support.waiting import PATIENCE, wait_until

LEASE = Kind("coordination.k8s.io/v1", "Lease")
BAD = {"inline": "x ="}


@pytest.fixture
def operator(bench: Bench) -> Iterator[RunningOperator]:
    """Run the operator."""
    with RunningOperator(bench.cluster, bench.kind) as running:
        yield running


def ask(port: int, path: str) -> tuple[int, str]:
    """Ask an operator over HTTP; code 0 is no answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def samples(port: int) -> dict[str, float]:
    """Read the operator's own metrics, with their labels in the order of the alphabet; none without an answer."""
    code, text = ask(port, "/metrics")
    if code != HTTPStatus.OK:
        return {}
    return {
        "/".join(
            [sample.name.removeprefix("finlab_sandbox_"), *(value for _, value in sorted(sample.labels.items()))]
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("finlab_sandbox_")
    }


def wait_told(port: int, numbers: dict[str, float]) -> dict[str, float]:
    """Wait until an operator tells all of these numbers at once: one may be counted a moment after another."""
    return wait_until(f"it tells {numbers}", lambda: samples(port), lambda told: numbers.items() <= told.items())


def ends(told: dict[str, float]) -> float:
    """Count the ends that an operator counted."""
    return sum(value for name, value in told.items() if name.startswith("runs_finished_total"))


def finished(port: int) -> float:
    """Ask an operator how many ends it counted."""
    return ends(wait_until("it tells its numbers", lambda: samples(port), bool))


def warnings(bench: Bench) -> list[Manifest]:
    """List what is said of the namespace's StrategyRuns."""
    return bench.cluster.list(EVENT, bench.namespace, fields="involvedObject.kind=StrategyRun")


def test_a_failed_run_is_one_count_and_one_warning(bench: Bench) -> None:
    """With class and reason; an operator that starts afterwards neither counts nor warns again."""
    with RunningOperator(bench.cluster, bench.kind) as operator:
        bench.apply(source=BAD)
        bench.wait_reason("CodeRejected")
        (warning,) = wait_until("there is an event", lambda: warnings(bench), len)
        seen = wait_told(operator.port, {"events_total/Posted": 1, "runs_finished_total/User//Failed/CodeRejected": 1})
        assert finished(operator.port) == 1
        assert seen["status_writes_total/Written"] >= 1
        assert seen["vetting_seconds_count"] == 1
        assert seen["api_request_seconds_count/200/strategyruns/status/patch"] >= 1
    assert (warning["type"], warning["reason"]) == ("Warning", "CodeRejected")
    assert warning["involvedObject"]["uid"] == bench.run()["metadata"]["uid"]
    assert warning["message"] == bench.status()["message"]
    with RunningOperator(bench.cluster, bench.kind) as again:
        wait_told(again.port, {"events_total/Known": 1})
        assert finished(again.port) == 0
    assert [each["metadata"]["uid"] for each in warnings(bench)] == [warning["metadata"]["uid"]]
    assert "CodeRejected" in bench.cluster.kubectl(
        "describe", f"{bench.kind.kind}.{bench.kind.api_version.split('/')[0]}", "run", "-n", bench.namespace
    )


def test_a_run_that_succeeds_is_counted_with_its_stages_and_warns_of_nothing(
    bench: Bench, operator: RunningOperator
) -> None:
    """While it is under way it is among the unfinished, by phase."""
    bench.apply()
    pod = bench.wait_pod()
    bench.wait_reason("Unschedulable")
    kubelet.start(bench.cluster, pod)
    bench.wait("Running", lambda seen: seen.get("phase") == "Running")
    wait_told(operator.port, {"runs/Running": 1})
    bench.succeed()
    seen = wait_told(
        operator.port,
        {
            "runs/Running": 0,
            "runs_finished_total//Sandbox/Succeeded/Evaluated": 1,
            "run_stage_seconds_count/total": 1,
            "run_stage_seconds_count/evaluate": 1,
        },
    )
    assert seen["watch_events_total/Pod/MODIFIED"] >= 1
    assert not warnings(bench)


def test_two_operators_at_once_count_each_end_once_and_warn_once(bench: Bench) -> None:
    """With the lease off: names and versions decide, not the lease."""
    names = [f"run-{n}" for n in range(8)]
    with RunningOperator(bench.cluster, bench.kind) as one, RunningOperator(bench.cluster, bench.kind) as two:
        for name in names:
            bench.apply(name, source=BAD)
        for name in names:
            bench.wait_reason("CodeRejected", name=name)
        wait_until("each has its event", lambda: warnings(bench), lambda seen: len(seen) >= len(names))
        wait_until(
            "both have told",
            lambda: [samples(each.port) for each in (one, two)],
            lambda seen: (
                all(now.get("events_total/Posted", 0) + now.get("events_total/Known", 0) == len(names) for now in seen)
                and sum(map(ends, seen)) >= len(names)
            ),
        )
        assert finished(one.port) + finished(two.port) == len(names)
    assert len(warnings(bench)) == len(names)


# The lease


def lease(bench: Bench) -> dict[str, Any]:
    """Read the spec of the lease."""
    spec: dict[str, Any] = bench.cluster.get(LEASE, NAME, bench.namespace)["spec"]
    return spec


def test_the_lease_passes_at_once_on_a_clean_end_and_after_its_time_on_kill_9(bench: Bench, tmp_path: Path) -> None:
    """Who waits is alive, not ready, says who works, and writes nothing."""
    with ExitStack() as running:
        one, two, three = (
            OperatorProcess(bench.cluster, bench.kind, tmp_path / f"{name}.log", lease_namespace=bench.namespace)
            for name in ("one", "two", "three")
        )
        running.enter_context(one)
        running.callback(two.kill)
        running.callback(three.kill)
        first = lease(bench)["holderIdentity"]
        two.start()
        assert f"held by {first}" in wait_until(
            "says for whom", lambda: ask(two.port, "/readyz")[1], lambda said: first in said
        )
        assert ask(two.port, "/healthz")[0] == 200
        bench.apply(source=BAD)
        bench.wait_reason("CodeRejected")
        assert finished(two.port) == 0

        assert one.terminate() == 0
        two.wait_ready()
        assert lease(bench)["holderIdentity"] != first
        assert lease(bench)["leaseTransitions"] == 1
        bench.apply("second", source=BAD)
        bench.wait_reason("CodeRejected", name="second")

        two.kill()
        three.start()
        began = monotonic()
        three.wait_ready()
        assert monotonic() - began > TTL_SECONDS - 5
        bench.apply("third", source=BAD)
        bench.wait_reason("CodeRejected", name="third")


def test_an_operator_whose_lease_was_taken_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends with the reason, and leaves the lease to the one who has it."""
    monkeypatch.setattr("strategyrun.adapters.lease.RENEW_SECONDS", 0.5)

    def work_until_the_lease_is_taken() -> None:
        with RunningOperator(bench.cluster, bench.kind, lease_namespace=bench.namespace) as operator:
            now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
            taken = {"holderIdentity": "somebody-else", "renewTime": now}
            bench.cluster.merge(LEASE, NAME, bench.namespace, {"spec": taken})
            wait_until("it ends", lambda: operator.error, lambda error: error)

    with pytest.raises(LeaseLostError, match="held by somebody-else"):
        work_until_the_lease_is_taken()
    assert lease(bench)["holderIdentity"] == "somebody-else"


def test_an_operator_that_is_told_to_end_while_it_waits_ends_well(bench: Bench) -> None:
    """The command that a pod runs: nothing but a handler of its own lets a pod's first process hear the signal."""
    holder = {"holderIdentity": "somebody-else", "leaseDurationSeconds": 3600}
    meta = {"name": NAME, "namespace": bench.namespace}
    bench.cluster.create({"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": meta, "spec": holder})
    port = free_port()
    command = [sys.executable, "-m", "strategyrun", "operator", "--alone", "--health-port", str(port)]
    where = ["--config", str(CHECKOUT / "config" / "sandbox.yaml"), "--lease-namespace", bench.namespace]
    environment = os.environ | {"KUBECONFIG": str(bench.cluster.kubeconfig), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("KUBERNETES_SERVICE_HOST", None)
    with subprocess.Popen([*command, *where], env=environment, stderr=subprocess.PIPE) as process:
        try:
            wait_until("it waits", lambda: ask(port, "/readyz")[1], lambda said: "held by somebody-else" in said)
            process.terminate()
            _, said = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 0, said
    assert b"Traceback" not in said
    assert lease(bench)["holderIdentity"] == "somebody-else"


class CutOff:
    """Lets no request about the lease through while it is set."""

    def __init__(self) -> None:
        self.now = False

    async def __call__(self, call: Call) -> None:
        """Break the connection."""
        if self.now and call.resource == "leases":
            raise ConnectionError("cut off")


def test_an_operator_that_cannot_renew_outlives_a_moment_and_ends_before_the_lease_runs_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it waits for is the lease, not the API server: other requests go through all the time."""
    for name, seconds in (("RENEW_SECONDS", 0.2), ("_RETRY_SECONDS", 0.2), ("_GIVE_UP_SECONDS", 600.0)):
        monkeypatch.setattr(f"strategyrun.adapters.lease.{name}", seconds)
    cut = CutOff()

    def work_until_the_lease_runs_out() -> None:
        with RunningOperator(bench.cluster, bench.kind, lease_namespace=bench.namespace, before=cut) as operator:
            before = lease(bench)["renewTime"]
            cut.now = True
            bench.apply(source=BAD)
            bench.wait_reason("CodeRejected")
            cut.now = False
            wait_until("it is renewed", lambda: lease(bench)["renewTime"], lambda now: now > before)
            assert operator.error is None
            cut.now = True
            monkeypatch.setattr("strategyrun.adapters.lease._GIVE_UP_SECONDS", 1.0)
            wait_until("it ends", lambda: operator.error, lambda error: error)

    with pytest.raises(LeaseLostError, match="is lost: cut off"):
        work_until_the_lease_runs_out()


def test_a_lease_that_others_touch_is_not_lost(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A label that somebody sets costs a conflict at most."""
    for name, seconds in (("RENEW_SECONDS", 0.2), ("_RELEASE_SECONDS", PATIENCE)):
        monkeypatch.setattr(f"strategyrun.adapters.lease.{name}", seconds)
    with RunningOperator(bench.cluster, bench.kind, lease_namespace=bench.namespace) as operator:
        for n in range(20):
            bench.cluster.merge(LEASE, NAME, bench.namespace, {"metadata": {"labels": {"touched": str(n)}}})
        renewals = count(operator.calls, "get", "leases")
        wait_until("it is renewed", lambda: count(operator.calls, "get", "leases"), lambda now: now > renewals + 3)
        assert operator.error is None
    assert lease(bench)["holderIdentity"] == ""


# Readiness


class FrozenWatches(RunningOperator):
    """An operator whose watches go through a proxy; its own requests do not."""

    def __init__(self, cluster: Cluster, kind: Kind, proxy: Proxy) -> None:
        super().__init__(cluster, kind)
        self._proxy = proxy

    async def operate(self, kube: WatchedKube, stop: asyncio.Event) -> None:
        """Let kopf watch through the proxy."""
        real = kube.credentials

        async def through() -> Credentials:
            return replace(await real(), server=f"https://127.0.0.1:{self._proxy.port}")

        kube.credentials = through  # type: ignore[method-assign]
        await super().operate(kube, stop)


def test_readiness_falls_while_the_watches_are_dead_and_the_work_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connections stay open and tell nothing: only what sweeps find gives them away. Life in them mends it."""
    monkeypatch.setattr(controller, "SWEEP_SECONDS", 1.0)
    monkeypatch.setattr(health, "LATE_SECONDS", 4.0)
    server = asyncio.run(configuration_of(bench.cluster)).host
    with Proxy(urlsplit(server).port or 443) as proxy, FrozenWatches(bench.cluster, bench.kind, proxy) as operator:
        bench.apply("before", source=BAD)
        bench.wait_reason("CodeRejected", name="before")
        wait_until("it is ready", lambda: ask(operator.port, "/readyz"), (200, "ok\n").__eq__)
        proxy.freeze()
        bench.apply("after", source=BAD)
        bench.wait_reason("CodeRejected", name="after")
        wait_until(
            "readiness falls",
            lambda: ask(operator.port, "/readyz"),
            lambda seen: seen[0] == 503 and "failed: watch StrategyRun: " in seen[1],
        )
        assert samples(operator.port)["watch_behind_seconds/StrategyRun"] > 4
        proxy.thaw()
        wait_until("it is ready again", lambda: ask(operator.port, "/readyz"), lambda seen: seen[0] == 200)
