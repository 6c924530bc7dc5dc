"""What may go wrong round an operator, row by row: every run still gets its one answer, and nothing is left over."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from strategyrun.domain.crd import crd
from support import kubelet
from support.bench import Bench
from support.census import answers_of, require_order, runs_of, wait_answers
from support.cluster import CONFIG_MAP, JOB, NODE, POD, Kind, Manifest, RefusedError
from support.definitions import installed
from support.fault_proxy import (
    Act,
    Answer,
    Events,
    FaultProxy,
    When,
    dropping,
    kill,
    lose_reply,
    lose_request,
    refuse,
    remember,
    replay,
    silence,
    to,
    to_phase,
    twice,
    writes,
)
from support.journal import Journal
from support.namespaces import temporary_namespace
from support.plays import (
    ENDS,
    FAILING,
    HELD,
    NEVER,
    OUT_OF_MEMORY,
    OVERDUE,
    REPORTED,
    SCORED,
    UNCONFIGURED,
    UNLOADED,
    UNPULLABLE,
    UNSCORED,
)
from support.rig import Rig, running_rig
from support.rig_operator import ON_RIG, KillableOperator
from support.waiting import wait_until

STATUS = to("patch", "strategyruns/status")
EVENT = Kind("v1", "Event")
RESOURCE_QUOTA = Kind("v1", "ResourceQuota")
ACTIVE = ("Starting", "Running")


def apply_scored(bench: Bench, count: int) -> dict[str, str]:
    """Create runs that end well, and return the answers that are due."""
    names = [f"{SCORED}-{number}" for number in range(count)]
    for name in names:
        bench.apply(name)
    return dict.fromkeys(names, "Evaluated")


def wait_running(bench: Bench, name: str) -> Manifest:
    """Wait until a run's strategy runs, and return its status."""
    return wait_phase(bench, name, "Running")


def wait_phase(bench: Bench, name: str, phase: str) -> Manifest:
    """Wait until a run is in a phase, and return its status."""
    return bench.wait(f"it is {phase}", lambda seen: seen.get("phase") == phase, name)


def wait_attempts(bench: Bench, name: str, *reasons: str) -> Manifest:
    """Wait until attempts have ended for these reasons and a further one has begun; return the status."""

    def holds(seen: Manifest) -> bool:
        ended = [attempt.get("reason") for attempt in seen.get("attempts", [])]
        return len(ended) > len(reasons) and ended[: len(reasons)] == list(reasons)

    return bench.wait(f"attempts ended with {reasons}", holds, name)


def finish_by_hand(bench: Bench, name: str, attempt: int = 1) -> None:
    """Let an attempt that is held end well, once it runs."""
    pod = bench.wait_pod(name, attempt)
    wait_running(bench, name)
    kubelet.succeed(bench.cluster, pod)
    bench.wait_reason("Evaluated", name=name)


# The operator dies, is away, or is two

WRITES: dict[str, When] = {
    "the acknowledgement": to_phase("Queued"),
    "the intent": to_phase("Starting"),
    "the policy": to("create", "networkpolicies"),
    "the snapshot": to("create", "configmaps"),
    "the Job": to("create", "jobs"),
    "the start": to_phase("Running"),
    "the reading of the report": to("get", "pods/log"),
    "the answer": to_phase("Succeeded", "Failed"),
    "the tidying": to("delete", "configmaps"),
    "the Job's deletion": to("delete", "jobs"),
}
"""All that an operator does for a run, in this order."""
_PLAYS = {"the start": HELD, "the reading of the report": REPORTED}


@pytest.mark.parametrize("committed", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("write", "play"),
    [
        *((write, _PLAYS.get(write, SCORED)) for write in WRITES),
        *((write, play) for write in ("the answer", "the Job's deletion") for play in (FAILING, OUT_OF_MEMORY)),
    ],
)
def test_killed_at_a_write(
    bench: Bench, proxy: FaultProxy, operator: KillableOperator, write: str, play: str, committed: bool
) -> None:
    """A process that dies before a write is sent, or before it hears that it was done, is replaced by one that
    goes on from there."""
    with proxy.fault(kill(operator.kill, committed=committed), WRITES[write], times=1) as death:
        bench.apply(play, ttlSecondsAfterFinished=0)
        wait_until(f"it dies at {write}", lambda: death.met, bool, seconds=60, every=0.02)
        assert not operator.alive
    if play == HELD:
        kubelet.succeed(bench.cluster, bench.wait_pod(play))
    statuses = wait_answers(bench, {play: ENDS.get(play, "Evaluated")}, operator)
    bench.wait_nothing_left()
    assert operator.starts == 2
    assert [len(status["attempts"]) for status in statuses.values()] == [1]
    require_order(bench, proxy)


def test_away_while_runs_finish(bench: Bench, proxy: FaultProxy, operator: KillableOperator) -> None:
    """What ended while nobody looked is read on return: pods keep their answers."""
    expected = apply_scored(bench, 20)
    bench.wait_names(JOB, lambda names: len(names) == len(expected))
    operator.kill()
    wait_until("every Job is complete", lambda: unfinished_jobs(bench), lambda left: not left, seconds=120)
    statuses = wait_answers(bench, expected, operator)
    assert {len(status["attempts"]) for status in statuses.values()} == {1}
    require_order(bench, proxy)


def test_away_for_longer_than_a_job_is_kept(bench: Bench, proxy: FaultProxy, operator: KillableOperator) -> None:
    """Nobody deletes a Job before its answer was read, not even of a run that asks for no time at all; after that
    the operator does, also where it has let go of the run."""
    names = [f"{HELD}-0", f"{HELD}-1"]
    for name, seconds in zip(names, (0, 5), strict=True):
        bench.apply(name, ttlSecondsAfterFinished=seconds)
    for name in names:
        wait_running(bench, name)
    pods = [bench.wait_pod(name) for name in names]
    operator.kill()
    for pod in pods:
        kubelet.succeed(bench.cluster, pod)
    wait_until("every Job is complete", lambda: unfinished_jobs(bench), lambda left: not left, seconds=60)
    assert len(bench.names(JOB)) == len(names)
    statuses = wait_answers(bench, dict.fromkeys(names, "Evaluated"), operator)
    assert [len(status["attempts"]) for status in statuses.values()] == [1, 1]
    bench.wait_nothing_left()
    assert set(proxy.created.values()) == {1}


def test_killed_before_it_knows_of_a_job_that_is_not_kept(
    bench: Bench, proxy: FaultProxy, operator: KillableOperator
) -> None:
    """The Job is not on record, and ends with nobody there: it is found again and not run twice."""
    with proxy.fault(kill(operator.kill, committed=True), to("create", "jobs"), times=1):
        bench.apply(f"{SCORED}-0", ttlSecondsAfterFinished=0)
        wait_until("it dies", lambda: operator.alive, lambda alive: not alive, seconds=60, every=0.02)
    wait_until("its Job is complete", lambda: unfinished_jobs(bench), lambda left: not left, seconds=60)
    statuses = wait_answers(bench, {f"{SCORED}-0": "Evaluated"}, operator)
    assert [len(status["attempts"]) for status in statuses.values()] == [1]
    bench.wait_nothing_left()
    assert set(proxy.created.values()) == {1}


def unfinished_jobs(bench: Bench) -> list[str]:
    """List the Jobs that are not complete."""
    return [
        job["metadata"]["name"]
        for job in bench.cluster.list(JOB, bench.namespace)
        if "Complete" not in [each["type"] for each in job.get("status", {}).get("conditions", [])]
    ]


def test_run_deleted_while_the_operator_is_away(bench: Bench, proxy: FaultProxy, tmp_path: Path) -> None:
    """No finalizer: the deletion needs no operator, leaves nothing, and its slot is free for the next run."""
    with KillableOperator(proxy.kubeconfig, bench.kind, tmp_path / "log", slots=1) as operator:
        bench.apply(f"{HELD}-0")
        wait_running(bench, f"{HELD}-0")
        operator.kill()
        bench.cluster.delete(bench.kind, f"{HELD}-0", bench.namespace)
        bench.wait_nothing_left()
        wait_answers(bench, apply_scored(bench, 1), operator)


def test_run_made_anew_under_the_same_name(bench: Bench, proxy: FaultProxy, operator: KillableOperator) -> None:
    """Another UID is another run: it gets a Job of its own, and the pod of the earlier one answers for nothing."""
    name = f"{HELD}-0"
    bench.apply(name)
    earlier = wait_running(bench, name)["attempts"][0]
    operator.kill()
    bench.cluster.delete(bench.kind, name, bench.namespace)
    bench.apply(name, params={"other": True})
    operator.start()
    later = wait_running(bench, name)["attempts"][0]
    assert later["jobName"] != earlier["jobName"]
    finish_by_hand(bench, name)
    bench.wait_names(JOB, lambda names: names == [later["jobName"]])
    assert {count for (resource, _), count in proxy.created.items() if resource == "jobs"} == {1}


def test_two_operators_at_once(bench: Bench, proxy: FaultProxy, operator: KillableOperator, tmp_path: Path) -> None:
    """Names and resource versions decide between them: each run has one Job and one answer."""
    with KillableOperator(proxy.kubeconfig, bench.kind, tmp_path / "other", sweep_seconds=2) as other:
        statuses = wait_answers(bench, apply_scored(bench, 20), operator)
        assert other.alive
        assert {len(status["attempts"]) for status in statuses.values()} == {1}
        require_order(bench, proxy)


def test_an_old_list_served_after_a_restart(bench: Bench, proxy: FaultProxy, operator: KillableOperator) -> None:
    """A fresh operator that is told of a time before any Job asks the API server itself before it acts."""
    answers: dict[str, Answer] = {}
    lists = {("list", resource) for resource in ("strategyruns", "jobs", "pods", "configmaps")}

    def swept(call: Any) -> bool:
        return (call.verb, call.resource) in lists

    bench.apply(f"{HELD}-0")
    with proxy.fault_by_call(remember(answers), swept):
        wait_until("a list before the attempt is recorded", lambda: len(answers), lambda count: count == len(lists))
    wait_running(bench, f"{HELD}-0")
    operator.kill()
    with proxy.fault_by_call(replay(answers), swept, times=len(lists)) as stale:
        operator.start()
        wait_until("it is told of the past", lambda: stale.met, lambda met: met == len(lists), seconds=60)
    finish_by_hand(bench, f"{HELD}-0")
    assert len(bench.status(f"{HELD}-0")["attempts"]) == 1
    require_order(bench, proxy)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"spec": {"cancel": True}}, "Cancelled"), ({"spec": {"source": {"inline": "x ="}}}, "CodeRejected")],
    ids=["cancelled", "edited"],
)
def test_spec_changed_while_the_operator_is_away(
    bench: Bench, operator: KillableOperator, change: Manifest, reason: str
) -> None:
    """A strategy that nobody wants any more runs on until the operator is back, and no longer."""
    name = f"{HELD}-0"
    bench.apply(name)
    wait_running(bench, name)
    operator.kill()
    bench.edit(change, name)
    operator.start()
    wait_answers(bench, {name: reason}, operator)
    bench.wait_nothing_left()


def test_uninstalled_with_live_runs(rig: Rig, tmp_path: Path) -> None:
    """Deleting the definition deletes runs, Jobs and pods, with the operator gone before: nothing waits for it."""
    with temporary_namespace(rig.cluster, "uninstalled", admission=False) as namespace:
        with installed(rig.cluster, crd()) as kind:
            bench = Bench(rig.cluster, kind, namespace)
            with KillableOperator(rig.kubeconfig, kind, tmp_path / "log"):
                for name in (f"{HELD}-0", f"{HELD}-1"):
                    bench.apply(name)
                    wait_running(bench, name)
            # The garbage collector learns of a new kind within half a minute; then it knows this one.
            bench.cluster.delete(kind, f"{HELD}-0", namespace)
            bench.wait_names(JOB, lambda names: len(names) == 1, seconds=120)
        bench.wait_nothing_left()


# The API server is away, refuses, or is not heard


def test_api_server_killed_under_load(bench: Bench, proxy: FaultProxy, operator: KillableOperator, rig: Rig) -> None:
    """It comes back with what it had; the operator goes on, in this process or in the next."""
    expected = apply_scored(bench, 20)
    bench.wait_names(JOB, bool)
    rig.apiserver.kill()
    rig.start_apiserver()
    wait_answers(bench, expected, operator)
    require_order(bench, proxy, pods=False, heard=False)


STORMS: dict[str, tuple[Act, When]] = {
    "conflicts": (refuse(HTTPStatus.CONFLICT, "Conflict"), STATUS),
    "throttling": (refuse(HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequests", retry_after=1), writes),
    "internal errors": (refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError"), writes),
    "unavailability": (refuse(HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable"), writes),
    "lost requests": (lose_request, writes),
    "lost replies": (lose_reply, writes),
}


@pytest.mark.parametrize("storm", STORMS)
def test_storm(bench: Bench, proxy: FaultProxy, operator: KillableOperator, storm: str) -> None:
    """Thirty writes in a row go wrong; then all runs get their answers, from one Job each."""
    act, when = STORMS[storm]
    with proxy.fault(act, when, times=30) as fault:
        statuses = wait_answers(bench, apply_scored(bench, 10), operator)
        assert fault.met == 30
    assert {len(status["attempts"]) for status in statuses.values()} == {1}
    require_order(bench, proxy)


@pytest.mark.parametrize("code", [HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY])
@pytest.mark.usefixtures("operator")
def test_a_status_that_is_never_taken(bench: Bench, proxy: FaultProxy, code: HTTPStatus) -> None:
    """The run ends and says why, instead of holding its slot for ever; the answer is asked for anew like any other."""
    bench.apply(HELD)
    pod = bench.wait_pod(HELD)
    wait_running(bench, HELD)
    with proxy.fault(refuse(code, "Invalid"), STATUS, times=1) as fault:
        kubelet.succeed(bench.cluster, pod)
        status = bench.wait_reason("PolicyDenied", name=HELD)
        assert fault.met == 1
    assert (status["phase"], status["failure"]["class"]) == ("Failed", "Platform")
    assert status["message"] == "the API server refuses the status of this run: Invalid: said by the fault proxy"
    wait_until(
        "an event says so",
        lambda: [event["message"] for event in bench.cluster.list(EVENT, bench.namespace, fields="type=Warning")],
        lambda messages: any("refuses the status" in message for message in messages),
    )
    bench.rerun(HELD)
    finish_by_hand(bench, HELD)


@pytest.mark.parametrize("write", ["the intent", "the policy", "the snapshot", "the Job", "the tidying"])
def test_reply_lost_after_commit(bench: Bench, proxy: FaultProxy, operator: KillableOperator, write: str) -> None:
    """What was done and not answered is not done again."""
    with proxy.fault(lose_reply, WRITES[write], times=5) as fault:
        wait_answers(bench, apply_scored(bench, 10), operator)
        wait_until("five replies are lost", lambda: fault.met, lambda met: met == 5)
    require_order(bench, proxy)


@pytest.mark.parametrize("resource", ["strategyruns", "jobs", "pods"])
def test_lists_refused_at_the_start(bench: Bench, proxy: FaultProxy, operator: KillableOperator, resource: str) -> None:
    """An operator that cannot learn what there is waits, and starts nothing before it knows."""
    operator.kill()
    expected = apply_scored(bench, 3)
    refused = refuse(HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable")
    with proxy.fault(refused, to("list", resource)) as fault:
        operator.start()
        wait_until("three lists are refused", lambda: fault.met, lambda met: met >= 3, seconds=60)
        assert not operator.ready()
        assert bench.names(JOB) == []
    wait_answers(bench, expected, operator)


@pytest.mark.parametrize("change", [dropping(3), twice], ids=["a third is dropped", "each comes twice"])
def test_events_dropped_or_doubled(bench: Bench, proxy: FaultProxy, operator: KillableOperator, change: Events) -> None:
    """Events only wake: what they do not tell, the sweep finds."""
    with proxy.events(change):
        wait_answers(bench, apply_scored(bench, 20), operator)
    require_order(bench, proxy)


def test_silent_watches(bench: Bench, proxy: FaultProxy, operator: KillableOperator) -> None:
    """Connections that are open and tell nothing, not even bookmarks: the sweeps bring every run to its end."""
    with proxy.events(silence):
        wait_answers(bench, apply_scored(bench, 10), operator)
        assert operator.starts == 1
    require_order(bench, proxy)


def test_deletions_in_a_gap_of_the_watches(bench: Bench, proxy: FaultProxy, tmp_path: Path) -> None:
    """After a 410 kopf lists what is there and says nothing of what is gone; the slot of a run that nobody
    reported gone goes to the next."""
    log = tmp_path / "log"
    with KillableOperator(proxy.kubeconfig, bench.kind, log, slots=1, sweep_seconds=2) as operator:
        bench.apply(f"{HELD}-0")
        wait_running(bench, f"{HELD}-0")
        expected = apply_scored(bench, 1)
        bench.wait_reason("WaitingForSlot", name=f"{SCORED}-0")
        with proxy.events(silence):
            bench.cluster.delete(bench.kind, f"{HELD}-0", bench.namespace)
            bench.wait_nothing_left()
            assert proxy.end_watches(HTTPStatus.GONE) >= 3
        wait_answers(bench, expected, operator)


def test_watches_end_with_an_internal_error(bench: Bench, proxy: FaultProxy, operator: KillableOperator) -> None:
    """The process may end of it; the next one goes on where it stood."""
    expected = apply_scored(bench, 20)
    bench.wait_names(JOB, bool)
    assert proxy.end_watches(HTTPStatus.INTERNAL_SERVER_ERROR) >= 3
    wait_answers(bench, expected, operator)
    require_order(bench, proxy)


def test_etcd_is_full(tmp_path: Path) -> None:
    """While nothing can be written the operator lives and tries again; when there is room, answers are recorded."""
    with (
        running_rig(ON_RIG.profile.seccomp, nodes=1, quota_bytes=32 << 20) as small,
        installed(small.cluster, crd()) as kind,
        temporary_namespace(small.cluster, "full", admission=False) as namespace,
    ):
        bench = Bench(small.cluster, kind, namespace)
        with KillableOperator(small.kubeconfig, kind, tmp_path / "log", sweep_seconds=2) as operator:
            held = [f"{HELD}-{number}" for number in range(5)]
            for name in held:
                bench.apply(name)
            for name in held:
                wait_running(bench, name)
            operator.kill()
            for name in held:
                kubelet.succeed(small.cluster, bench.wait_pod(name))
            wait_until("every Job is complete", lambda: unfinished_jobs(bench), lambda left: not left, seconds=60)
            assert fill_up(bench) == "etcdserver: mvcc: database space exceeded"
            operator.start()
            operator.wait_ready()
            wait_until("its writes are refused", lambda: operator.log.count("space exceeded"), lambda n: n >= 5)
            assert answers_of(bench) == {}
            for each in bench.cluster.list(CONFIG_MAP, namespace, labels="filler"):
                bench.cluster.delete(CONFIG_MAP, each["metadata"]["name"], namespace)
            small.reclaim_space()
            wait_answers(bench, dict.fromkeys(held, "Evaluated"), operator)
            assert operator.starts == 2


def fill_up(bench: Bench) -> str:
    """Create ConfigMaps until etcd takes no more, and return its complaint."""
    for number in range(100):
        meta = {"name": f"filler-{number}", "namespace": bench.namespace, "labels": {"filler": ""}}
        content = {"content": "x" * 900_000}
        try:
            bench.cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": content})
        except RefusedError as refusal:
            return refusal.message
    raise AssertionError("etcd took 90 MB")


# The cluster is too small, loses nodes, or somebody deletes things


def test_many_runs_on_few_slots(bench: Bench, proxy: FaultProxy, tmp_path: Path) -> None:
    """Never more than three are active, and they come in the order of their creation."""
    journal = Journal(bench.cluster, bench.kind, bench.namespace)
    with KillableOperator(proxy.kubeconfig, bench.kind, tmp_path / "log", slots=3, sweep_seconds=2) as operator:
        held = [f"{HELD}-{number}" for number in range(3)]
        for name in held:
            bench.apply(name)
            wait_running(bench, name)
        expected = apply_scored(bench, 30) | dict.fromkeys(held, "Evaluated")
        wait_until(
            "all others stand in line",
            lambda: [status.get("reason") for status in runs_of(bench).values()].count("WaitingForSlot"),
            lambda count: count == 30,
            seconds=60,
        )
        for name in held:
            finish_by_hand(bench, name)
        wait_answers(bench, expected, operator)
    active: set[str] = set()
    for _, run in journal.read():
        (active.add if run.get("status", {}).get("phase") in ACTIVE else active.discard)(run["metadata"]["name"])
        assert len(active) <= 3
    runs = bench.cluster.list(bench.kind, bench.namespace)
    begun = sorted(runs, key=lambda run: datetime.fromisoformat(run["status"]["attempts"][0]["createdAt"]))
    created = [run["metadata"]["creationTimestamp"] for run in begun]
    assert created == sorted(created)
    require_order(bench, proxy)


def test_kueue_holds_runs_back_and_preempts_them(bench: Bench, proxy: FaultProxy, tmp_path: Path) -> None:
    """What waits for Kueue keeps nobody from a slot, and what Kueue stops goes on under the same Job."""
    queued = f"{HELD}-0"
    with KillableOperator(proxy.kubeconfig, bench.kind, tmp_path / "log", slots=1, sweep_seconds=2):
        bench.apply(queued, labels={"kueue.x-k8s.io/queue-name": "team-a"})
        job = bench.wait("held back", lambda seen: seen.get("phase") == "Queued" and seen.get("attempts"), queued)
        name = job["attempts"][0]["jobName"]
        scored = apply_scored(bench, 2)
        wait_until("others have their answers", lambda: answers_of(bench), lambda seen: seen == scored, seconds=60)
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
    meta = {"name": "quota", "namespace": bench.namespace}
    bench.cluster.create(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {resource: "0"}}}
    )
    wait_until(
        "the quota is counted",
        lambda: bench.cluster.get(RESOURCE_QUOTA, "quota", bench.namespace).get("status", {}),
        lambda status: "hard" in status,
    )
    expected = apply_scored(bench, 1)
    bench.wait_reason("QuotaExceeded", name=f"{SCORED}-0")
    bench.cluster.merge(RESOURCE_QUOTA, "quota", bench.namespace, {"spec": {"hard": {resource: "10"}}})
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


@pytest.mark.usefixtures("operator")
def test_pod_evicted_in_the_middle(bench: Bench, proxy: FaultProxy) -> None:
    """The eviction is on record, and a second attempt gives the answer."""
    name = f"{HELD}-0"
    bench.apply(name)
    wait_running(bench, name)
    evict(bench, bench.wait_pod(name))
    wait_attempts(bench, name, "Evicted")
    finish_by_hand(bench, name, attempt=2)
    require_order(bench, proxy)


def evict(bench: Bench, pod: Manifest) -> None:
    """Ask for a pod's eviction, as a drain does."""
    meta = {"name": pod["metadata"]["name"], "namespace": bench.namespace}
    path = f"/api/v1/namespaces/{bench.namespace}/pods/{meta['name']}/eviction"
    bench.cluster.request("POST", path, body={"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta})


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
    wait_until("its Job is complete", lambda: unfinished_jobs(bench), lambda left: not left, seconds=60)
    bench.cluster.delete(kind, job if kind == JOB else pod["metadata"]["name"], bench.namespace)
    bench.wait_names(POD, lambda names: not names)
    operator.start()
    wait_attempts(bench, name, "JobVanished")
    finish_by_hand(bench, name, attempt=2)
    assert {count for (resource, _), count in proxy.created.items() if resource == "jobs"} == {1}
