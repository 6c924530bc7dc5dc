"""The cluster is too small, loses nodes, or somebody deletes things: every run still gets its one answer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from strategyrun.domain.crd import crd
from support import kubelet
from support.bench import Bench
from support.census import answers_of, require_order, runs_of, wait_answers
from support.cluster import JOB, NODE, POD, Cluster, Kind, Manifest, nothing, refusal
from support.definitions import installed
from support.fault_proxy import FaultProxy
from support.journal import Journal
from support.namespaces import temporary_namespace
from support.plays import (
    FAILING,
    HELD,
    NEVER,
    OUT_OF_MEMORY,
    OVERDUE,
    SCORED,
    UNCONFIGURED,
    UNLOADED,
    UNPULLABLE,
    UNSCORED,
)
from support.rig import Rig, running_rig
from support.rig_operator import ON_RIG, KillableOperator
from support.rig_runs import (
    apply_scored,
    as_asked,
    finish_by_hand,
    unfinished_jobs,
    wait_attempts,
    wait_phase,
    wait_running,
)
from support.waiting import PATIENCE, wait_until

PRIORITY_CLASS = Kind("scheduling.k8s.io/v1", "PriorityClass")
ACTIVE = ("Starting", "Running")
MANY = as_asked("RUNS", 30)


@pytest.mark.timeout(600 + 2 * MANY)
def test_many_runs_on_few_slots(bench: Bench, proxy: FaultProxy, tmp_path: Path) -> None:
    """Never more than three are active, and they come in the order of their creation; those that are let in together
    may overtake each other."""
    with (
        Journal(bench.cluster, bench.kind, bench.namespace) as journal,
        KillableOperator(proxy.kubeconfig, bench.kind, tmp_path / "log", slots=3, sweep_seconds=2) as operator,
    ):
        held = [f"{HELD}-{number}" for number in range(3)]
        for name in held:
            bench.apply(name)
            wait_running(bench, name)
        expected = apply_scored(bench, MANY) | dict.fromkeys(held, "Evaluated")
        wait_until(
            "all others stand in line",
            lambda: [status.get("reason") for status in runs_of(bench).values()].count("WaitingForSlot"),
            lambda count: count == MANY,
            seconds=PATIENCE + MANY,
        )
        for name in held:
            finish_by_hand(bench, name)
        wait_until(
            "all have their answers",
            lambda: expected.keys() - answers_of(bench).keys(),
            lambda left: not left,
            seconds=400 + 2 * MANY,
        )
        wait_answers(bench, expected, operator)
        require_order(bench, proxy)
        changes = journal.read()
    active: set[str] = set()
    for _, run in changes:
        (active.add if run.get("status", {}).get("phase") in ACTIVE else active.discard)(run["metadata"]["name"])
        assert len(active) <= 3
    runs = bench.cluster.list(bench.kind, bench.namespace)
    begun = sorted(runs, key=lambda run: datetime.fromisoformat(run["status"]["attempts"][0]["createdAt"]))
    created = [run["metadata"]["creationTimestamp"] for run in begun]
    assert [at for at, latest in zip(created[3:], accumulate(created, max), strict=False) if at < latest] == []


def test_controllers_at_their_own_pace(tmp_path: Path) -> None:
    """With the few requests a second that Kubernetes allows its controllers, a burst takes longer, and that is all."""
    with (
        running_rig(ON_RIG.profile.seccomp, nodes=1, in_a_hurry=False) as slow,
        installed(slow.cluster, crd()) as kind,
        temporary_namespace(slow.cluster, "slow", admission=False) as namespace,
    ):
        bench = Bench(slow.cluster, kind, namespace)
        with (
            FaultProxy(slow, tmp_path) as proxy,
            KillableOperator(proxy.kubeconfig, kind, tmp_path / "log", sweep_seconds=2) as operator,
        ):
            statuses = wait_answers(bench, apply_scored(bench, 60), operator)
            assert {len(status["attempts"]) for status in statuses.values()} == {1}
            require_order(bench, proxy)


def test_kueue_holds_runs_back_and_preempts_them(bench: Bench, proxy: FaultProxy, tmp_path: Path) -> None:
    """What waits for Kueue keeps nobody from a slot, and what Kueue stops goes on under the same Job."""
    queued = f"{HELD}-0"
    with KillableOperator(proxy.kubeconfig, bench.kind, tmp_path / "log", slots=1, sweep_seconds=2):
        labels = {"kueue.x-k8s.io/queue-name": "team-a", "kueue.x-k8s.io/priority-class": "urgent"}
        bench.apply(queued, labels=labels)
        job = bench.wait("held back", lambda seen: seen.get("phase") == "Queued" and seen.get("attempts"), queued)
        name = job["attempts"][0]["jobName"]
        assert labels.items() <= bench.cluster.get(JOB, name, bench.namespace)["metadata"]["labels"].items()
        scored = apply_scored(bench, 2)
        wait_until("others have their answers", lambda: answers_of(bench), lambda seen: seen == scored)
        for suspended, phase in ((False, "Running"), (True, "Queued"), (False, "Running")):
            bench.cluster.merge(JOB, name, bench.namespace, {"spec": {"suspend": suspended}})
            wait_phase(bench, queued, phase)
            if suspended:
                bench.wait_names(POD, lambda names: not [each for each in names if each.startswith(name)])
        finish_by_hand(bench, queued)
        assert [attempt["reason"] for attempt in bench.status(queued)["attempts"]] == ["Evaluated"]
        require_order(bench, proxy, pods=False)


@pytest.mark.parametrize("resource", ["count/jobs.batch", "pods"])
def test_quota_is_spent(bench: Bench, operator: KillableOperator, resource: str) -> None:
    """The run waits with that reason and does not fail; when the quota grows it runs."""
    bench.spend(resource)
    expected = apply_scored(bench, 1)
    bench.wait_reason("QuotaExceeded", name=f"{SCORED}-0")
    bench.allow(resource, "10")
    wait_answers(bench, expected, operator)


NAMED = {
    FAILING: "StrategyError",
    OUT_OF_MEMORY: "OutOfMemory",
    OVERDUE: "Timeout",
    UNPULLABLE: "ImagePullFailed",
    UNCONFIGURED: "ContainerConfigError",
    UNSCORED: "EvaluatorFailed",
    UNLOADED: "LoaderFailed",
}


@pytest.mark.usefixtures("operator")
def test_a_pod_that_goes_wrong_is_named(bench: Bench) -> None:
    """While it waits, or at its end."""
    meta = {"name": "prices", "namespace": bench.namespace}
    bench.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"close.csv": ""}})
    dataset = {"name": "prices", "configMapRef": {"name": "prices"}}
    for play in NAMED:
        spec: dict[str, Any] = {"datasets": [dataset]} if play == UNLOADED else {}
        bench.apply(play, retry={"limit": 0}, **spec)
    for play, reason in NAMED.items():
        bench.wait_reason(reason, name=play)


def test_a_pod_that_nobody_starts_is_given_up(bench: Bench, proxy: FaultProxy, tmp_path: Path) -> None:
    """It was on a node, and nothing says what it waited for."""
    with KillableOperator(proxy.kubeconfig, bench.kind, tmp_path / "log", start_seconds=5):
        bench.apply(NEVER)
        assert bench.wait_reason("StartTimeout", name=NEVER)["phase"] == "Failed"
        bench.wait_names(POD, lambda names: not names)


@pytest.mark.usefixtures("operator")
def test_a_pod_that_the_cluster_refuses_is_named(bench: Bench) -> None:
    """The Job is let in and its pod is not: the refusal stands in an event of the Job."""
    meta = {"name": "small", "namespace": bench.namespace}
    limits = {"limits": [{"type": "Container", "max": {"memory": "1Mi"}}]}
    bench.cluster.create({"apiVersion": "v1", "kind": "LimitRange", "metadata": meta, "spec": limits})
    bench.apply(f"{SCORED}-0")
    status = bench.wait_reason("PolicyDenied", name=f"{SCORED}-0")
    assert "maximum memory usage per Container is 1Mi" in status["message"]


def drain(cluster: Cluster, pod: Manifest) -> None:
    """Ask for a pod's eviction, as a drain does."""
    meta = {name: pod["metadata"][name] for name in ("name", "namespace")}
    path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/eviction"
    cluster.request("POST", path, body={"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta})


@pytest.mark.parametrize(
    ("evict", "message"),
    [(drain, "EvictionByEvictionAPI"), (kubelet.evict, "The node was low on resource: memory.")],
    ids=["drained", "low on memory"],
)
@pytest.mark.usefixtures("operator")
def test_pod_evicted_in_the_middle(
    bench: Bench, proxy: FaultProxy, evict: Callable[[Cluster, Manifest], None], message: str
) -> None:
    """That is not the strategy's fault: the eviction is on record, and a second attempt gives the answer."""
    name = f"{HELD}-0"
    bench.apply(name)
    wait_running(bench, name)
    evict(bench.cluster, bench.wait_pod(name))
    status = wait_attempts(bench, name, "Evicted")
    assert status["attempts"][0]["message"] == message
    finish_by_hand(bench, name, attempt=2)
    require_order(bench, proxy)


@pytest.mark.usefixtures("operator")
def test_pod_preempted(bench: Bench, proxy: FaultProxy) -> None:
    """The scheduler takes a run's place away for a pod of a higher priority; another attempt runs elsewhere."""
    name = f"{HELD}-0"
    bench.apply(name)
    node = wait_running(bench, name)["attempts"][0]["node"]
    with urgent_pod(bench, node):
        status = wait_attempts(bench, name, "Evicted")
        assert status["attempts"][0]["message"] == "PreemptionByScheduler"
        finish_by_hand(bench, name, attempt=2)
    assert bench.status(name)["attempts"][1]["node"] != node
    require_order(bench, proxy)


@contextmanager
def urgent_pod(bench: Bench, node: str) -> Iterator[None]:
    """Ask for a whole node, with a priority that lets the scheduler make room there."""
    urgent = {"apiVersion": PRIORITY_CLASS.api_version, "kind": PRIORITY_CLASS.kind, "value": 1_000_000}
    container = {"name": "urgent", "image": "none", "resources": {"requests": {"cpu": "1000"}}}
    spec = {
        "priorityClassName": bench.namespace,
        "nodeSelector": {"kubernetes.io/hostname": node},
        "containers": [container],
    }
    meta = {"name": "urgent", "namespace": bench.namespace}
    pod = {"apiVersion": POD.api_version, "kind": POD.kind, "metadata": meta, "spec": spec}

    bench.cluster.create(urgent | {"metadata": {"name": bench.namespace}})
    try:
        known = "admission knows of the priority"
        wait_until(known, lambda: refusal(lambda: bench.cluster.create(pod, dry_run=True)), nothing)
        bench.cluster.create(pod)
        yield
        bench.cluster.delete(POD, "urgent", bench.namespace)
    finally:
        bench.cluster.delete(PRIORITY_CLASS, bench.namespace)


@contextmanager
def silenced_node(rig: Rig, name: str) -> Iterator[None]:
    """Let nobody renew a node's lease nor play on it until the block ends."""
    rig.cluster.merge(NODE, name, None, {"metadata": {"labels": {"type": "silent"}}})
    try:
        yield
    finally:
        rig.cluster.merge(NODE, name, None, {"metadata": {"labels": {"type": "kwok"}}})


@pytest.mark.usefixtures("operator")
def test_node_lost_in_the_middle(bench: Bench, rig: Rig) -> None:
    """A node that is not heard of is given up with its pod; a second attempt runs elsewhere."""
    name = f"{HELD}-0"
    bench.apply(name)
    node = wait_running(bench, name)["attempts"][0]["node"]
    with silenced_node(rig, node):
        status = wait_attempts(bench, name, "NodeLost")
        assert status["attempts"][1].get("node") != node
        finish_by_hand(bench, name, attempt=2)
    assert bench.status(name)["attempts"][1]["node"] != node


@pytest.mark.usefixtures("operator")
def test_job_deleted_by_hand_in_the_middle(bench: Bench, proxy: FaultProxy) -> None:
    """It counts as vanished when the API server itself says so; a second attempt gives the answer."""
    name = f"{HELD}-0"
    bench.apply(name)
    job = wait_running(bench, name)["attempts"][0]["jobName"]
    bench.cluster.delete(JOB, job, bench.namespace)
    wait_attempts(bench, name, "JobVanished")
    finish_by_hand(bench, name, attempt=2)
    require_order(bench, proxy)


@pytest.mark.parametrize("kind", [JOB, POD], ids=["the Job", "the pod"])
def test_deleted_after_success_and_before_it_was_read(
    bench: Bench, proxy: FaultProxy, operator: KillableOperator, kind: Any
) -> None:
    """The answer is lost with the pod. That is on record as a failure of the platform, and the run is repeated."""
    name = f"{HELD}-0"
    bench.apply(name)
    job = wait_running(bench, name)["attempts"][0]["jobName"]
    pod = bench.wait_pod(name)
    operator.kill()
    kubelet.succeed(bench.cluster, pod)
    wait_until("its Job is complete", lambda: unfinished_jobs(bench), lambda left: not left)
    bench.cluster.delete(kind, job if kind == JOB else pod["metadata"]["name"], bench.namespace)
    bench.wait_names(POD, lambda names: not names)
    operator.start()
    wait_attempts(bench, name, "JobVanished")
    finish_by_hand(bench, name, attempt=2)
    assert {count for (resource, _), count in proxy.created.items() if resource == "jobs"} == {1}
