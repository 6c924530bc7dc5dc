"""The operator dies, is away, or is two: every run still gets its one answer, and nothing is left over."""

from pathlib import Path
from typing import Any

import pytest

from strategyrun.domain.crd import crd
from support import kubelet
from support.bench import Bench
from support.census import answers_of, require_order, wait_answers
from support.cluster import JOB, Manifest
from support.definitions import installed
from support.fault_proxy import Answer, FaultProxy, kill, remember, replay, to
from support.namespaces import temporary_namespace
from support.plays import ENDS, FAILING, HELD, NEVER, OUT_OF_MEMORY, REPORTED, SCORED
from support.rig import Rig
from support.rig_operator import KillableOperator
from support.rig_runs import (
    WRITES,
    apply_scored,
    as_asked,
    finish_by_hand,
    unfinished_jobs,
    wait_attempts,
    wait_long,
    wait_running,
)
from support.waiting import wait_until

AWAY_SECONDS = as_asked("AWAY", 0)
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
        wait_until(f"it dies at {write}", lambda: death.met, bool, every=0.02)
        assert not operator.alive
    if play == HELD:
        kubelet.succeed(bench.cluster, bench.wait_pod(play))
    statuses = wait_answers(bench, {play: ENDS.get(play, "Evaluated")}, operator)
    bench.wait_nothing_left()
    assert operator.starts == 2
    assert [len(status["attempts"]) for status in statuses.values()] == [1]
    require_order(bench, proxy)


@pytest.mark.timeout(600 + AWAY_SECONDS)
def test_away_while_runs_finish(bench: Bench, proxy: FaultProxy, tmp_path: Path) -> None:
    """What ended while nobody looked is read on return: pods keep their answers."""
    count = as_asked("RUNS", 20)
    with KillableOperator(proxy.kubeconfig, bench.kind, tmp_path / "log", slots=count, sweep_seconds=2) as operator:
        expected = apply_scored(bench, count)
        bench.wait_names(JOB, lambda names: len(names) == count)
        operator.kill()
        wait_until("every Job is complete", lambda: unfinished_jobs(bench), lambda left: not left)
        wait_long("it is away", AWAY_SECONDS)
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
    wait_until("every Job is complete", lambda: unfinished_jobs(bench), lambda left: not left)
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
        wait_until("it dies", lambda: operator.alive, lambda alive: not alive, every=0.02)
    wait_until("its Job is complete", lambda: unfinished_jobs(bench), lambda left: not left)
    statuses = wait_answers(bench, {f"{SCORED}-0": "Evaluated"}, operator)
    assert [len(status["attempts"]) for status in statuses.values()] == [1]
    bench.wait_nothing_left()
    assert set(proxy.created.values()) == {1}


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
        wait_until("it is told of the past", lambda: stale.met, lambda met: met == len(lists))
    finish_by_hand(bench, f"{HELD}-0")
    assert len(bench.status(f"{HELD}-0")["attempts"]) == 1
    require_order(bench, proxy)


@pytest.mark.parametrize("wrong_by", [-3600, 3600], ids=["an hour behind", "an hour ahead"])
def test_an_operator_with_a_wrong_clock_takes_over(
    bench: Bench, proxy: FaultProxy, operator: KillableOperator, tmp_path: Path, wrong_by: float
) -> None:
    """It gives a start its time, keeps a Job for as long as was asked for, and lets no retry wait longer than others
    do."""
    bench.apply(NEVER)
    pod = bench.wait_pod(NEVER)
    bench.apply(f"{HELD}-0", ttlSecondsAfterFinished=600)
    wait_running(bench, f"{HELD}-0")
    operator.kill()
    with KillableOperator(
        proxy.kubeconfig, bench.kind, tmp_path / "other", sweep_seconds=2, start_seconds=1200, wrong_by=wrong_by
    ) as other:
        expected = apply_scored(bench, 1)
        wait_until("it has worked", other.reviving(lambda: answers_of(bench)), lambda seen: seen == expected)
        bench.cluster.delete(JOB, bench.status(f"{HELD}-0")["attempts"][0]["jobName"], bench.namespace)
        wait_attempts(bench, f"{HELD}-0", "JobVanished")
        finish_by_hand(bench, f"{HELD}-0", attempt=2)
        kubelet.succeed(bench.cluster, pod)
        statuses = wait_answers(bench, expected | dict.fromkeys((NEVER, f"{HELD}-0"), "Evaluated"), other)
        assert len(statuses[NEVER]["attempts"]) == 1
        assert statuses[f"{HELD}-0"]["attempts"][1]["jobName"] in bench.names(JOB)
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
            bench.wait_names(JOB, lambda names: len(names) == 1)
        bench.wait_nothing_left()
