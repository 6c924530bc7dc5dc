"""The operator against a real API server. Its pods fit on no node; what a kubelet would say of them, the test says."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from strategyrun.adapters import controller
from strategyrun.adapters.controller import Controller
from strategyrun.adapters.health import Health, health_server
from strategyrun.adapters.observer import Observer
from strategyrun.domain.crd import crd
from strategyrun.domain.network_policy import POLICY_NAME, deny_all
from strategyrun.domain.strategyrun import PLURAL
from support import kubelet
from support.bench import Bench, count, owned, workbench
from support.cluster import CONFIG_MAP, JOB, NAMESPACE, NETWORK_POLICY, POD, Cluster, Kind, Manifest, nothing, refusal
from support.definitions import installed
from support.namespaces import ADMISSION_OFF, temporary_namespace
from support.operator import (
    UNSCHEDULABLE,
    Call,
    OperatorProcess,
    RunningOperator,
    WatchedKube,
    with_slots,
    with_timeouts,
)
from support.runs import condition, snapshot_of, strategy_run
from support.waiting import PATIENCE, wait_until

NESTING = 9_990
"""Levels in a field of a run: few more are taken by the API server."""


@pytest.fixture
def operator(bench: Bench) -> Iterator[RunningOperator]:
    """Run the operator."""
    with RunningOperator(bench.cluster, bench.kind) as running:
        yield running


class Hold:
    """Keeps the operator waiting before a request, until the test lets it go on."""

    def __init__(self, verb: str, resource: str) -> None:
        self._wanted = (verb, resource)
        self._arrived = threading.Event()
        self._go_on = threading.Event()

    async def __call__(self, call: Call) -> None:
        """Wait, the first time."""
        if (call.verb, call.resource) == self._wanted and not self._arrived.is_set():
            self._arrived.set()
            await asyncio.to_thread(self._go_on.wait, PATIENCE)

    def wait(self) -> None:
        """Wait until the operator has come to the request."""
        assert self._arrived.wait(PATIENCE), f"the operator does not come to {self._wanted}"

    def release(self) -> None:
        """Let it go on."""
        self._go_on.set()


def untold(calls: list[Call]) -> list[Call]:
    """Leave out the Warning events, which come when they come."""
    return [call for call in calls if call.resource != "events"]


def another_job(status: Manifest, known: Manifest) -> bool:
    """Whether an attempt has a Job, and not that of another attempt."""
    return any(attempt.get("jobUID", known["jobUID"]) != known["jobUID"] for attempt in status.get("attempts", []))


# One run


def test_a_rejected_source_starts_nothing(bench: Bench, operator: RunningOperator) -> None:
    """No policy, no snapshot, no Job: the answer is there before any pod could be, after a first word."""
    bench.apply(source={"inline": "def strategy(data, params):\n    return (\n"})
    status = bench.wait_reason("CodeRejected")
    assert status["failure"]["class"] == "User"
    assert status["failure"]["findings"][0]["line"] == 2
    assert status["attempts"] == []
    assert {kind: condition(bench.run(), kind) for kind in ("Accepted", "Finished", "Succeeded")} == {
        "Accepted": "False",
        "Finished": "True",
        "Succeeded": "False",
    }
    assert not [name for kind in (JOB, CONFIG_MAP, NETWORK_POLICY) for name in bench.names(kind)]
    assert [call.verb for call in untold(operator.calls) if call.writes] == ["patch", "patch"]


def test_intent_is_on_record_before_the_job_and_the_policy_comes_first(bench: Bench, operator: RunningOperator) -> None:
    """A first word, status, policy, snapshot, Job: whenever the operator dies, a fresh one knows what to go on with."""
    bench.apply()
    bench.wait_pod()
    writes = [call.resource for call in operator.calls if call.writes]
    status = "strategyruns/status"
    assert writes[:5] == [status, status, "networkpolicies", "configmaps", "jobs"]
    (attempt,) = bench.status()["attempts"]
    assert bench.names(JOB) == [attempt["jobName"]]
    assert bench.names(NETWORK_POLICY) == [POLICY_NAME]


def test_kopf_leaves_nothing_on_an_object(bench: Bench, operator: RunningOperator) -> None:  # noqa: ARG001
    """No finalizer blocks a deletion, no annotation holds a state."""
    bench.apply()
    pod = bench.wait_pod()
    bench.wait_reason("Unschedulable")
    job = bench.cluster.get(JOB, bench.status()["attempts"][0]["jobName"], bench.namespace)
    for each in (bench.run(), job, bench.cluster.get(POD, pod["metadata"]["name"], bench.namespace)):
        assert "kopf" not in str(each["metadata"].get("annotations", {})) + str(each["metadata"].get("finalizers", []))
    assert "finalizers" not in bench.run()["metadata"]


def test_the_whole_way(bench: Bench, operator: RunningOperator) -> None:
    """Starting, Running, Succeeded; the answer holds the report's numbers, the snapshot goes, the Job stays."""
    bench.apply()
    pod = bench.wait_pod()
    bench.wait_reason("Unschedulable")
    kubelet.start(bench.cluster, pod)
    bench.wait("Running", lambda seen: seen.get("phase") == "Running")
    kubelet.succeed(bench.cluster, pod)
    status = bench.wait_reason("Evaluated")
    assert (status["phase"], status["metrics"]["sharpe"], status["metrics"]["days"]) == ("Succeeded", 0.913, 3267)
    assert status["attempts"][0]["podName"] == pod["metadata"]["name"]
    assert condition(bench.run(), "Finished") == condition(bench.run(), "Succeeded") == "True"
    bench.wait_names(CONFIG_MAP, lambda names: not names)
    assert bench.names(JOB) == [status["attempts"][0]["jobName"]]
    assert count(operator.calls, "create", "jobs") == 1


def test_a_report_with_another_nonce_is_no_answer(bench: Bench, operator: RunningOperator) -> None:  # noqa: ARG001
    """Whoever wrote it, it was not the evaluator of this Job."""
    bench.apply()
    kubelet.succeed(bench.cluster, bench.wait_pod(), nonce="0" * 32)
    status = bench.wait_reason("Tampered")
    assert status["failure"]["class"] == "Sandbox"
    assert "metrics" not in status


def test_a_strategy_that_fails_is_not_repeated(bench: Bench, operator: RunningOperator) -> None:
    """A user's failure is an answer, and its last words are in it."""
    bench.apply()
    kubelet.fail(bench.cluster, bench.wait_pod())
    status = bench.wait_reason("StrategyError")
    assert status["failure"]["lastLines"][-1] == "KeyError: 'Close'"
    assert count(operator.calls, "create", "jobs") == 1


def test_a_strategy_cannot_write_a_status_that_the_server_refuses(bench: Bench, operator: RunningOperator) -> None:  # noqa: ARG001
    """Numbers beyond every bound end as a failure like others, and hold no slot for ever."""
    bench.apply()
    words = '{"schema":1,"reason":"StrategyError","message":"x","exitCode":1e400,"seconds":{"a":1e308,"b":1e308}}'
    kubelet.fail(bench.cluster, bench.wait_pod(), words)
    assert bench.wait_reason("StrategyError")["phase"] == "Failed"


# Sources that come late


def test_a_source_may_come_after_its_run(bench: Bench, operator: RunningOperator) -> None:  # noqa: ARG001
    """Applied in one breath, in whatever order: the run says what it waits for, and goes on."""
    bench.apply(source={"configMapRef": {"name": "code"}})
    status = bench.wait_reason("SourceMissing")
    assert status["phase"] == "Queued"
    assert f"there is no ConfigMap code in namespace {bench.namespace}" in status["message"]
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "code", "namespace": bench.namespace}}
    bench.cluster.create(config_map | {"data": {"other.py": ""}})
    bench.wait("the keys are named", lambda seen: "(it has: other.py)" in seen["message"])
    source = "def strategy(data, params):\n    return data['close'].notna()\n"
    bench.cluster.merge(CONFIG_MAP, "code", bench.namespace, {"data": {"strategy.py": source}})
    bench.wait_pod()
    (snapshot,) = bench.names(CONFIG_MAP)
    assert bench.cluster.get(CONFIG_MAP, snapshot, bench.namespace)["data"]["strategy.py"] == source


def test_a_source_that_never_comes_ends_the_wait(bench: Bench) -> None:
    """After the time that a start may take."""
    with RunningOperator(bench.cluster, bench.kind, with_timeouts(UNSCHEDULABLE, start_seconds=10)):
        bench.apply(source={"configMapRef": {"name": "code"}})
        status = bench.wait("the end", lambda seen: seen.get("phase") == "Failed")
    assert status["failure"]["reason"] == "SourceMissing"


# Slots


def test_slots_go_to_those_who_came_first(bench: Bench) -> None:
    """One at a time, in the order of creation; the others say that they wait."""
    with RunningOperator(bench.cluster, bench.kind, with_slots(UNSCHEDULABLE, 1)):
        bench.apply("a")
        bench.wait_pod("a")
        for name in ("c", "b"):
            bench.apply(name)
            bench.wait_reason("WaitingForSlot", name=name)
            _next_second()
        bench.succeed("a")
        bench.succeed("c")
        bench.succeed("b")


def test_the_line_goes_by_priority_and_between_namespaces_by_turns(bench: Bench) -> None:
    """Whose namespace has fewer runs under way goes first; among those of one, the most urgent."""
    with (
        temporary_namespace(bench.cluster, "quiet", admission=False) as namespace,
        workbench(bench.cluster, bench.kind, namespace) as quiet,
        RunningOperator(bench.cluster, bench.kind, with_slots(UNSCHEDULABLE, 2)),
    ):
        for name in ("one", "two"):
            bench.apply(name)
            bench.wait_pod(name)
        bench.apply("later")
        bench.wait_reason("WaitingForSlot", "later")
        _next_second()
        bench.apply("urgent", priority=10)
        bench.wait_reason("WaitingForSlot", "urgent")
        quiet.apply("alone")
        quiet.wait("the head of the line", lambda seen: seen.get("queue", {}).get("position") == 1, "alone")
        bench.succeed("one")
        quiet.wait_pod("alone")
        assert [bench.status(name)["reason"] for name in ("later", "urgent")] == ["WaitingForSlot"] * 2
        bench.succeed("two")
        bench.wait_pod("urgent")
        assert bench.status("later")["reason"] == "WaitingForSlot"
        bench.succeed("urgent")
        bench.wait_pod("later")


def test_the_line_survives_a_restart(bench: Bench) -> None:
    """The fresh operator lets nobody pass who came later, and starts nothing beyond the limit."""
    one = with_slots(UNSCHEDULABLE, 1)
    with RunningOperator(bench.cluster, bench.kind, one):
        bench.apply("z-active")
        bench.wait_pod("z-active")
        bench.apply("y-first")
        bench.wait_reason("WaitingForSlot", name="y-first")
        _next_second()
        bench.apply("a-second")
        bench.wait_reason("WaitingForSlot", name="a-second")
    pod = bench.wait_pod("z-active")
    kubelet.succeed(bench.cluster, pod)
    with RunningOperator(bench.cluster, bench.kind, one):
        bench.wait_reason("Evaluated", name="z-active")
        bench.wait_pod("y-first")
        assert bench.status("a-second")["reason"] == "WaitingForSlot"


def _next_second() -> None:
    """Wait for the next second: Kubernetes orders creations no finer."""
    now = datetime.now(UTC).replace(microsecond=0)
    wait_until("the next second", lambda: datetime.now(UTC), lambda seen: seen.replace(microsecond=0) > now, every=0.05)


def test_a_run_that_somebodys_finalizer_keeps_gives_up_its_slot(bench: Bench) -> None:
    """It is being deleted for as long as that one likes."""
    with RunningOperator(bench.cluster, bench.kind, with_slots(UNSCHEDULABLE, 1)):
        bench.apply("first")
        bench.wait_pod("first")
        bench.apply("second")
        bench.wait_reason("WaitingForSlot", name="second")
        bench.cluster.merge(bench.kind, "first", bench.namespace, {"metadata": {"finalizers": ["example.com/kept"]}})
        bench.cluster.delete(bench.kind, "first", bench.namespace)
        bench.wait_pod("second")
        bench.cluster.merge(bench.kind, "first", bench.namespace, {"metadata": {"finalizers": None}})


@pytest.mark.usefixtures("operator")
def test_inputs_that_come_back_are_evaluated_anew(bench: Bench) -> None:
    """Their last Job is still there with its answer, and nobody remembers it: its name is taken, and it goes."""
    bench.apply()
    first, source = bench.succeed()["attempts"][0], bench.run()["spec"]["source"]
    bench.cluster.merge(bench.kind, "run", bench.namespace, {"spec": {"source": {"inline": "input()\n"}}})
    bench.wait_reason("CodeRejected")
    assert first["jobName"] in bench.names(JOB)
    bench.cluster.merge(bench.kind, "run", bench.namespace, {"spec": {"source": source}})
    (again,) = bench.wait("another Job", lambda seen: another_job(seen, first))["attempts"]
    assert again["jobName"] == first["jobName"]
    assert bench.succeed()["attempts"][0]["jobUID"] == again["jobUID"]


def test_a_deleted_run_gives_up_its_slot(bench: Bench) -> None:
    """And leaves nothing."""
    with RunningOperator(bench.cluster, bench.kind, with_slots(UNSCHEDULABLE, 1)):
        bench.apply("first")
        bench.wait_pod("first")
        bench.apply("second")
        bench.wait_reason("WaitingForSlot", name="second")
        bench.cluster.delete(bench.kind, "first", bench.namespace)
        bench.wait_pod("second")
        bench.cluster.delete(bench.kind, "second", bench.namespace)
        bench.wait_nothing_left()


# Failures of the platform


def test_what_fits_nowhere_in_time_is_given_up(bench: Bench) -> None:
    """The slot is free again, the Job is gone, the reason stands, that was on record before the time is over."""
    with RunningOperator(bench.cluster, bench.kind):
        bench.apply(retry={"limit": 0})
        bench.wait_reason("Unschedulable")
    with RunningOperator(bench.cluster, bench.kind, with_timeouts(UNSCHEDULABLE, start_seconds=10)):
        status = bench.wait("the end", lambda seen: seen.get("phase") == "Failed")
        bench.wait_nothing_left()
    assert (status["reason"], status["failure"]["class"]) == ("Unschedulable", "Platform")


def test_a_job_deleted_by_hand_is_repeated(bench: Bench, operator: RunningOperator) -> None:  # noqa: ARG001
    """The loss is on record before the next attempt begins."""
    bench.apply()
    bench.wait_pod()
    bench.wait("the Job is on record", lambda seen: seen["attempts"][0].get("jobUID"))
    bench.cluster.delete(JOB, bench.status()["attempts"][0]["jobName"], bench.namespace)
    bench.wait_pod(attempt=2)
    first, second = bench.status()["attempts"]
    assert (first["reason"], second["number"]) == ("JobVanished", 2)
    assert first["jobName"] != second["jobName"]


def test_somebody_elses_job_of_that_name_is_left_alone(bench: Bench) -> None:
    """It is neither adopted nor deleted; the next attempt has another name."""
    hold = Hold("create", "jobs")
    with RunningOperator(bench.cluster, bench.kind, before=hold):
        bench.apply()
        hold.wait()
        name = bench.status()["attempts"][0]["jobName"]
        container = {"name": "main", "image": "none"}
        squatter = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name, "namespace": bench.namespace},
            "spec": {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
        }
        stored = bench.cluster.create(squatter)
        hold.release()
        bench.wait_pod(attempt=2)
    assert bench.status()["attempts"][0]["reason"] == "NameConflict"
    assert bench.cluster.get(JOB, name, bench.namespace)["metadata"]["uid"] == stored["metadata"]["uid"]


def test_somebody_elses_snapshot_is_not_run(bench: Bench) -> None:
    """Its name can be foreseen: who made it first, unlabelled and to be changed at will, stops the run and no more."""
    hold = Hold("create", "configmaps")
    with RunningOperator(bench.cluster, bench.kind, before=hold):
        bench.apply(retry={"limit": 0})
        hold.wait()
        forged = snapshot_of(bench.run(), UNSCHEDULABLE.profile.sandbox)
        del forged["immutable"], forged["metadata"]["labels"]
        stored = bench.cluster.create(forged)
        hold.release()
        status = bench.wait_reason("NameConflict")
    name = stored["metadata"]["name"]
    assert (status["phase"], status["message"]) == ("Failed", f"ConfigMap {name} is not this run's snapshot")
    assert bench.names(JOB) == []
    assert bench.cluster.get(CONFIG_MAP, name, bench.namespace)["metadata"]["uid"] == stored["metadata"]["uid"]


@pytest.mark.parametrize("refused", ["count/jobs.batch", "count/networkpolicies.networking.k8s.io", "count/configmaps"])
def test_a_refusal_stops_what_would_follow(bench: Bench, operator: RunningOperator, refused: str) -> None:
    """No pod without its policy or its inputs; the API server's words are in the status, and the run waits."""
    wait_until("the CA is there", lambda: bench.cluster.find(CONFIG_MAP, "kube-root-ca.crt", bench.namespace), bool)
    bench.spend(refused, 1 if refused == "count/configmaps" else 0)
    bench.apply(retry={"limit": 0})
    status = bench.wait_reason("QuotaExceeded")
    assert status["phase"] == "Queued"
    assert "exceeded quota" in status["attempts"][0]["message"]
    assert bench.names(JOB) == []
    assert count(operator.calls, "create", "jobs") == (1 if refused == "count/jobs.batch" else 0)


def test_a_policy_that_is_there_needs_no_room(bench: Bench, operator: RunningOperator) -> None:
    """The quota that it has used up refuses another, not the runs that rely on this one."""
    bench.cluster.create(deny_all(bench.namespace))
    bench.spend("count/networkpolicies.networking.k8s.io", 1)
    bench.apply()
    bench.wait_pod()
    assert count(operator.calls, "create", "networkpolicies") == 0


@pytest.mark.usefixtures("operator")
def test_a_policy_that_has_the_name_and_lets_something_through_stops_the_run(bench: Bench) -> None:
    """It may be older than the admission policies, which are off here. Once it is deleted runs go on."""
    policy = deny_all(bench.namespace)
    stored = bench.cluster.create(policy | {"spec": policy["spec"] | {"egress": [{}]}})
    bench.apply(retry={"limit": 0})
    status = bench.wait_reason("NameConflict")
    message = f"NetworkPolicy {POLICY_NAME} does not deny all traffic of all runs"
    assert (status["phase"], status["message"]) == ("Failed", message)
    assert bench.names(JOB) == []
    kept = bench.cluster.get(NETWORK_POLICY, POLICY_NAME, bench.namespace)
    assert kept["metadata"]["uid"] == stored["metadata"]["uid"]
    bench.cluster.delete(NETWORK_POLICY, POLICY_NAME, bench.namespace)
    bench.apply("again")
    bench.wait_pod("again")


# Edits and deletions at any moment


def test_changed_inputs_begin_anew(bench: Bench, operator: RunningOperator) -> None:  # noqa: ARG001
    """The Job of the old inputs is deleted, the answer is one to the new ones."""
    bench.apply(params={"fast": 1})
    bench.wait_pod()
    (old,) = bench.names(JOB)
    bench.edit({"spec": {"params": {"fast": 2}}})
    bench.wait_names(JOB, lambda names: len(names) == 1 and names != [old])
    status = bench.succeed()
    assert status["attempts"][0]["jobName"] != old
    assert status["history"] == []


def test_a_rerun_keeps_the_earlier_answer(bench: Bench, operator: RunningOperator) -> None:  # noqa: ARG001
    """In the history, while the same inputs are evaluated once more."""
    bench.apply()
    bench.succeed()
    bench.wait_names(CONFIG_MAP, lambda names: not names)
    bench.rerun()
    bench.wait("a new evaluation", lambda seen: seen["phase"] != "Succeeded")
    status = bench.succeed()
    assert [(past["phase"], past["reason"]) for past in status["history"]] == [("Succeeded", "Evaluated")]
    assert status["observedRerun"] == "again"


def test_an_answer_of_an_earlier_version_says_once_which_rerun_it_answers(
    bench: Bench, operator: RunningOperator
) -> None:
    """It is not evaluated again."""
    bench.apply(suspend=True)
    bench.wait_reason("Suspended")
    bench.rerun()
    bench.wait("the rerun is seen", lambda seen: seen.get("observedRerun") == "again")
    bench.edit({"spec": {"suspend": False}})
    before = bench.succeed()
    earlier = {"status": {"observedRerun": None}}
    bench.cluster.merge(bench.kind, "run", bench.namespace, earlier, subresource="status")
    assert bench.wait("it says so again", lambda seen: seen.get("observedRerun") == "again") == before
    assert count(operator.calls, "create", "jobs") == 1


def test_an_edit_that_asks_nothing_new_changes_no_answer(bench: Bench, operator: RunningOperator) -> None:
    """Settled or not: the answer stands, for the new generation too."""
    bench.apply()
    before = bench.succeed()
    (job,) = bench.names(JOB)
    wait_until("the Job is complete", lambda: bench.cluster.get(JOB, job, bench.namespace), _complete)
    bench.edit({"spec": {"retry": {"limit": 5}}})
    after = bench.wait("the generation is acknowledged", lambda seen: seen["observedGeneration"] == 2)
    assert after["metrics"] == before["metrics"]
    assert after["finishedAt"] == before["finishedAt"]
    assert count(operator.calls, "create", "jobs") == 1


def _complete(job: Manifest) -> bool:
    return any(each["type"] == "Complete" for each in job.get("status", {}).get("conditions", []))


def test_a_run_deleted_before_its_job_leaves_nothing(bench: Bench) -> None:
    """The Job that was on its way has no owner any more, and goes too."""
    hold = Hold("create", "jobs")
    with RunningOperator(bench.cluster, bench.kind, with_slots(UNSCHEDULABLE, 1), before=hold) as operator:
        bench.apply()
        hold.wait()
        bench.cluster.delete(bench.kind, "run", bench.namespace)
        hold.release()
        wait_until("the Job was asked for", lambda: count(operator.calls, "create", "jobs"), bool)
        bench.wait_nothing_left()
        bench.apply("next")
        bench.wait_pod("next")


def test_a_namespace_may_go_with_everything_in_it(bench: Bench, operator: RunningOperator) -> None:
    """Runs in any state do not keep it, and their slots are free for others."""
    for number in range(6):
        bench.apply(f"run-{number}")
    wait_until("the slots are taken", lambda: len(bench.names(JOB)), lambda jobs: jobs == 4)
    bench.cluster.delete(NAMESPACE, bench.namespace)
    wait_until(
        "the namespace is gone",
        lambda: bench.cluster.find(NAMESPACE, bench.namespace),
        lambda found: found is None,
    )
    created = count(operator.calls, "create", "jobs")
    again = {"name": bench.namespace, "labels": ADMISSION_OFF}
    bench.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": again})
    wait_until("admission knows of the new one", lambda: refusal(lambda: bench.apply("again")), nothing)
    bench.wait_pod("again")
    assert bench.names(NETWORK_POLICY) == [POLICY_NAME], "a namespace made anew has its policy anew"
    assert count(operator.calls, "create", "jobs") == created + 1


def test_a_busy_writer_does_not_starve_a_run(bench: Bench, operator: RunningOperator) -> None:
    """Every status write may lose to an edit; the run is answered all the same, and with few requests."""
    bench.apply()
    pod = bench.wait_pod()
    over = threading.Event()

    def scribble() -> None:
        number = 0
        while not over.is_set():
            number += 1
            bench.edit({"metadata": {"annotations": {"example.com/number": str(number)}}})

    writer = threading.Thread(target=scribble)
    writer.start()
    try:
        before = len(operator.calls)
        kubelet.succeed(bench.cluster, pod)
        bench.wait_reason("Evaluated")
        assert len(operator.calls) - before < 300
    finally:
        over.set()
        writer.join()


# Runs that have their answer


def test_a_settled_run_costs_no_request(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its Job's end nor its pod's nor their deletion makes the operator read or write anything; sweeps do."""
    monkeypatch.setattr(controller, "SWEEP_SECONDS", 3600)
    with RunningOperator(bench.cluster, bench.kind) as operator:
        bench.apply(ttlSecondsAfterFinished=0)
        bench.succeed()
        bench.wait_nothing_left()
        before = bench.run()
        calls = Counter(call.verb for call in untold(operator.calls))
        bench.apply("other", source={"inline": "x ="})
        bench.wait_reason("CodeRejected", name="other")
        assert bench.run() == before
        assert Counter(call.verb for call in untold(operator.calls)) - calls == Counter(patch=2)


def test_a_late_job_of_an_answered_run_is_deleted(bench: Bench, operator: RunningOperator) -> None:  # noqa: ARG001
    """A second operator that slept over a Job does not keep a pod alive that nobody waits for."""
    bench.apply(source={"inline": "x ="})
    bench.wait_reason("CodeRejected")
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "evaluate", "image": "none"}]}}
    bench.cluster.create(owned(bench.run(), JOB, "late", spec={"suspend": True, "template": template}))
    bench.wait_names(JOB, lambda names: not names)


# Operators that die, sleep, or are two

WRITES = {
    "starting": ("patch", "strategyruns/status"),
    "policy": ("create", "networkpolicies"),
    "snapshot": ("create", "configmaps"),
    "job": ("create", "jobs"),
    "verdict": ("patch", "strategyruns/status"),
    "tidying": ("delete", "configmaps"),
}


class Death:
    """Ends an operator at a request, as a power cut does: from then on it neither sends nor hears anything."""

    def __init__(self, verb: str, resource: str, *, armed: bool) -> None:
        self._wanted = (verb, resource)
        self.armed = armed
        self.came = threading.Event()

    async def __call__(self, call: Call) -> None:
        """Die here, or be dead already."""
        if self.armed and (call.verb, call.resource) == self._wanted:
            self.came.set()
        if self.came.is_set():
            await asyncio.Event().wait()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("write", WRITES)
def test_an_operator_may_die_at_any_write(bench: Bench, write: str, moment: str) -> None:
    """A request that was never sent or never answered: the next operator finishes the run, with one Job in all."""
    at_the_end = write in ("verdict", "tidying")
    death = Death(*WRITES[write], armed=not at_the_end)
    hooks: dict[str, Any] = {moment: death}
    with RunningOperator(bench.cluster, bench.kind, **hooks):
        bench.apply()
        if at_the_end:
            pod = bench.wait_pod()
            bench.wait_reason("Unschedulable")
            death.armed = True
            kubelet.succeed(bench.cluster, pod)
        assert death.came.wait(PATIENCE), f"there was no {write} to die at"
    with RunningOperator(bench.cluster, bench.kind) as heir:
        status = bench.wait_reason("Evaluated") if at_the_end else bench.succeed()
        bench.wait_names(CONFIG_MAP, lambda names: not names)
        (attempt,) = status["attempts"]
        assert bench.names(JOB) == [attempt["jobName"]]
        assert len(bench.names(POD)) == 1
        assert count(heir.calls, "delete", "jobs") == 0


def test_two_operators_are_as_good_as_one(bench: Bench) -> None:
    """They waste requests on each other; every run has one Job and one answer."""
    names = [f"run-{number}" for number in range(5)]
    roomy = with_slots(UNSCHEDULABLE, len(names))
    with (
        RunningOperator(bench.cluster, bench.kind, roomy) as one,
        RunningOperator(bench.cluster, bench.kind, roomy) as two,
    ):
        for name in names:
            bench.apply(name)
        for name in names:
            assert len(bench.succeed(name)["attempts"]) == 1
        bench.wait_names(CONFIG_MAP, lambda left: not left)
        assert len(bench.names(JOB)) == len(names)
        assert {call.name for call in one.calls + two.calls if call.writes} >= set(names)


class DeafOperator(RunningOperator):
    """An operator that no event reaches: it has its sweeps alone."""

    async def operate(self, kube: WatchedKube, stop: asyncio.Event) -> None:
        """Look all the time."""
        observer = Observer(kube)
        controller = Controller(kube, self.settings, observer)
        async with health_server(Health(controller, observer), self.port):
            await controller.prepare()
            working = asyncio.create_task(controller.run())
            while not stop.is_set():
                await self.look(kube, controller)
                await asyncio.sleep(0.1)
            working.cancel()
            await asyncio.wait([working])

    async def look(self, _: WatchedKube, controller: Controller) -> None:
        """Sweep."""
        await controller.sweep()


class HardOfHearingOperator(DeafOperator):
    """An operator that no news of Jobs and pods has reached yet."""

    async def look(self, kube: WatchedKube, controller: Controller) -> None:
        """Hear of the runs."""
        async for body in kube.list(kube.runs):
            controller.on_run(None, body)


def test_an_operator_that_hears_of_an_answer_first_keeps_its_job(bench: Bench) -> None:
    """To it the Job may still run. It asks before it takes one away: the log of an ended pod stays for its time."""
    with (
        HardOfHearingOperator(bench.cluster, bench.kind) as late,
        RunningOperator(bench.cluster, bench.kind),
    ):
        bench.apply()
        bench.wait_pod()
        jobs = [("create", "jobs"), ("get", "jobs")]
        wait_until("both know the Job", lambda: [call[:3:2] for call in late.calls], lambda made: set(jobs) & set(made))
        looks = count(late.calls, "list", "pods")
        bench.succeed()
        wait_until("it has asked", lambda: count(late.calls, "list", "pods"), lambda now: now > looks)
        bench.wait_names(CONFIG_MAP, lambda left: not left)
        assert bench.names(JOB)
        assert not count(late.calls, "delete", "jobs")


def test_sweeps_alone_bring_every_run_to_its_end(bench: Bench) -> None:
    """No event needs to arrive: a pod's end, an edit, a deletion and the slot that it frees are found."""
    with DeafOperator(bench.cluster, bench.kind, with_slots(UNSCHEDULABLE, 1)) as operator:
        bench.apply("bad", source={"inline": "x ="})
        bench.wait_reason("CodeRejected", name="bad")
        bench.apply()
        bench.succeed()
        bench.wait_names(CONFIG_MAP, lambda names: not names)
        bench.edit({"spec": {"source": {"inline": "y ="}}}, "bad")
        bench.wait("an answer to the edit", lambda seen: len(seen["history"]) == 1, "bad")
        bench.apply("active")
        bench.wait_pod("active")
        bench.apply("next")
        bench.wait_reason("WaitingForSlot", name="next")
        bench.cluster.delete(bench.kind, "active", bench.namespace)
        bench.wait_pod("next")
        assert operator.error is None


def test_a_process_killed_in_the_middle_is_replaced(bench: Bench, tmp_path: Path) -> None:
    """Ten runs, a kill between two instructions, a fresh process: ten answers, ten Jobs."""
    names = [f"run-{number}" for number in range(10)]
    with OperatorProcess(bench.cluster, bench.kind, tmp_path / "log") as process:
        for name in names:
            bench.apply(name)
        wait_until("the work has begun", lambda: bench.names(JOB), bool)
        process.kill()
        with process:
            for name in _in_the_order_of_slots(bench, names):
                assert len(bench.status(name)["attempts"]) == 1
        assert "Traceback" not in process.log
    assert len(bench.names(JOB)) == len(names)


def _in_the_order_of_slots(bench: Bench, names: list[str]) -> Iterator[str]:
    """Let each run succeed as soon as it has a pod; yield its name then."""
    todo = set(names)
    while todo:
        started = wait_until(
            "somebody has an attempt",
            lambda: [name for name in sorted(todo) if bench.status(name).get("attempts")],
            bool,
        )
        for name in started:
            bench.succeed(name)
            todo.discard(name)
            yield name


def test_a_signal_ends_the_process_soon_and_well(bench: Bench, tmp_path: Path) -> None:
    """With runs in any state, and though somebody who asked for its metrics keeps the connection: kopf would wait five
    seconds for whatever is left over.
    """
    with OperatorProcess(bench.cluster, bench.kind, tmp_path / "log") as process:
        bench.apply()
        bench.wait_pod()
        asker = HTTPConnection("127.0.0.1", process.port, timeout=PATIENCE)
        asker.request("GET", "/metrics")
        asker.getresponse().read()
        assert process.terminate() == 0, process.log
        asker.close()
        assert "Traceback" not in process.log
        assert "Hung tasks stopping is skipped: no tasks given." in process.log


# What a tenant may try, and what another version may have left


def test_a_document_nested_beyond_reason_stops_nobody(bench: Bench, tmp_path: Path) -> None:
    """The API server takes what Python's JSON refuses at its usual limit; the run is told, and the operator goes on."""
    document = json.dumps(strategy_run("deep", bench.namespace, kind=bench.kind, params={"a": "DEEP"}))
    deep = document.replace('"DEEP"', "[" * NESTING + "]" * NESTING)
    with OperatorProcess(bench.cluster, bench.kind, tmp_path / "log") as process:
        bench.cluster.kubectl("create", "--validate=false", "-f", "-", stdin=deep)
        group, _, version = bench.kind.api_version.partition("/")
        of_deep = ("get", f"{PLURAL}.{version}.{group}", "deep", "-n", bench.namespace)
        wait_until(
            "the run is refused",  # Python's JSON, as this process has it, could not read it
            lambda: bench.cluster.kubectl(*of_deep, "-o", "jsonpath={.status.reason}: {.status.message}"),
            lambda told: told == f"SpecInvalid: spec.params: nested {NESTING + 1} deep; the limit is 64",
        )
        bench.apply("after", source={"inline": "x ="})
        bench.wait_reason("CodeRejected", name="after")
        process.kill()
        with process:
            bench.apply("again", source={"inline": "x ="})
            bench.wait_reason("CodeRejected", name="again")
        assert "Traceback" not in process.log


@pytest.mark.parametrize(
    "mark",
    [
        {"annotations": {"kopf.zalando.org/last-handled-configuration": "x"}},
        {"annotations": {"kopf.zalando.org/last-handled-configuration": "5"}},
        {"finalizers": ["kopf.zalando.org/KopfFinalizerMarker"]},
    ],
    ids=["annotation", "annotation-that-is-json", "finalizer"],
)
def test_marks_of_kopf_keep_no_run_from_being_seen(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, mark: dict[str, Any]
) -> None:
    """An author may write them, and another operator does: the watch tells of every version all the same."""
    monkeypatch.setattr(controller, "SWEEP_SECONDS", 3600)
    with RunningOperator(bench.cluster, bench.kind):
        run = strategy_run("marked", bench.namespace, kind=bench.kind, source="x =")
        bench.cluster.create(run | {"metadata": run["metadata"] | mark})
        bench.wait_reason("CodeRejected", name="marked")
        for number in range(5):
            bench.edit({"spec": {"params": {"v": number}}}, "marked")
            bench.wait("it is answered", lambda seen, asked=number + 2: seen["observedGeneration"] == asked, "marked")  # type: ignore[misc]
        bench.edit({"metadata": {"finalizers": None}}, "marked")


@pytest.fixture(scope="module")
def newer_kind(cluster: Cluster) -> Iterator[Kind]:
    """Install the CRD of a later version: with a dataset and a phase that this operator does not know."""
    definition = crd()
    spec = definition["spec"]
    schema = spec["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    schema["spec"]["properties"]["datasets"]["items"]["properties"]["builtin"]["enum"].append("world-stocks")
    schema["status"]["properties"]["phase"]["enum"].append("Paused")
    with installed(cluster, definition) as kind:
        yield kind


@pytest.fixture
def newer_bench(cluster: Cluster, newer_kind: Kind, namespace: str) -> Iterator[Bench]:
    """Give the test a namespace to work in, where runs are of the later version."""
    with workbench(cluster, newer_kind, namespace) as bench:
        yield bench


def test_a_spec_of_a_later_version_gets_an_answer(newer_bench: Bench) -> None:
    """Not silence: the field is named. When the field is gone, the run is evaluated."""
    bench = newer_bench
    with RunningOperator(bench.cluster, bench.kind):
        bench.apply(datasets=[{"name": "prices", "builtin": "world-stocks"}])
        status = bench.wait_reason("SpecInvalid")
        assert (status["phase"], status["failure"]["class"]) == ("Failed", "User")
        assert status["message"] == "spec.datasets.0.builtin: Input should be 'us-stocks'"
        assert condition(bench.run(), "Finished") == "True"
        bench.edit({"spec": {"datasets": [{"name": "prices", "builtin": "us-stocks"}]}})
        bench.wait_pod()
        assert bench.status()["history"][0]["reason"] == "SpecInvalid"


def test_a_status_of_a_later_version_is_left_alone(newer_bench: Bench) -> None:
    """Nothing that this operator could write would be better than what stands there."""
    bench = newer_bench
    paused = {"observedGeneration": 1, "phase": "Paused", "reason": "Paused", "inputsHash": "0"}
    bench.apply()
    before = bench.cluster.merge(bench.kind, "run", bench.namespace, {"status": paused}, subresource="status")
    with RunningOperator(bench.cluster, bench.kind) as operator:
        bench.edit({"metadata": {"annotations": {"example.com/a": "b"}}})
        bench.apply("other", source={"inline": "x ="})
        bench.wait_reason("CodeRejected", name="other")
        assert [call.name for call in untold(operator.calls) if call.writes] == ["other", "other"]
    assert bench.status() == before["status"]


@pytest.mark.usefixtures("operator")
def test_a_dataset_that_comes_later_is_waited_for(bench: Bench) -> None:
    """As with the source: a folder is applied in any order."""
    dataset = {"name": "prices", "configMapRef": {"name": "prices"}}
    bench.apply(datasets=[dataset])
    waiting = bench.wait_reason("DataMissing")
    assert waiting["phase"] == "Queued"
    assert "there is no ConfigMap prices" in waiting["message"]
    assert bench.names(JOB) == []
    bench.cluster.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "prices", "namespace": bench.namespace},
            "data": {"prices.csv": "date,symbol,close\n"},
        }
    )
    pod = bench.wait_pod()
    assert [each["name"] for each in pod["spec"]["initContainers"]] == ["dataset", "strategy"]


@pytest.mark.usefixtures("operator")
def test_an_answer_does_not_wait_for_a_report_that_is_lost(bench: Bench) -> None:
    """No node ever saw this pod, so there is no log: the metrics are there, and a warning says what is not."""
    bench.apply()
    status = bench.succeed(full="f" * 64)
    assert status["metrics"]
    assert "report" not in status
    assert any(warning.startswith("report: the full report could not be kept") for warning in status["warnings"])


@pytest.mark.usefixtures("operator")
def test_a_finlab_backtest_ends_before_any_pod(bench: Bench) -> None:
    """The reason says that it is the vendor's authorisation that is missing, with the line."""
    source = "from finlab import data, backtest\nposition = data.get('price:收盤價') > 20\nbacktest.sim(position)\n"
    bench.apply(source={"inline": source})
    failure = bench.wait_reason("VendorAuthRequired")["failure"]
    assert failure["class"] == "User"
    assert [finding["line"] for finding in failure["findings"]] == [3]
    assert bench.names(JOB) == []
