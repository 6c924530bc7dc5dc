"""The life of a run: edited, repeated, deleted, and interrupted by others."""

from collections.abc import Callable
from typing import Any

import pytest

from strategyrun.domain.strategyrun import RERUN_ANNOTATION
from support.cluster import CONFIG_MAP, JOB, POD, STRATEGY_RUN, Cluster, Kind, Manifest
from support.journal import Journal, Open
from support.runs import strategy_run, wait_finished
from support.waiting import IN_LINE, wait_until

RESOURCE = "strategyruns.finlab-sandbox.dev"
HOLD = """\
def strategy(data, params):
    return data.close.notna() * params["weight"]
"""
SLOW = """\
import time
def strategy(data, params):
    time.sleep(params["seconds"])
    return data.close.notna()
"""


def _phase(run: Manifest | None) -> str:
    return str(run and run.get("status", {}).get("phase"))


def _wait_phase(cluster: Cluster, namespace: str, phase: str, name: str = "run") -> Manifest:
    return wait_until(
        f"StrategyRun {name} is {phase}",
        lambda: cluster.get(STRATEGY_RUN, name, namespace),
        lambda run: _phase(run) == phase,
        seconds=IN_LINE,
    )


def _belongings(cluster: Cluster, namespace: str) -> list[str]:
    """Name all that a run may leave behind, in a namespace that has nothing else."""
    kinds = (STRATEGY_RUN, JOB, POD, CONFIG_MAP)
    found = [(kind.kind, each["metadata"]["name"]) for kind in kinds for each in cluster.list(kind, namespace)]
    return [f"{kind}/{name}" for kind, name in found if name != "kube-root-ca.crt"]


def _created(journal: Journal) -> list[str]:
    return [seen["metadata"]["name"] for change, seen in journal.read() if change == "ADDED"]


def test_edit_starts_a_new_evaluation_and_keeps_the_last_answer(
    cluster: Cluster, namespace: str, journal: Open
) -> None:
    """Other params: a Job of its own, other metrics, and the answer to the first ones in the history."""
    jobs = journal(JOB)
    cluster.apply(strategy_run(namespace=namespace, source=HOLD, params={"weight": 0.1}))
    first = wait_finished(cluster, namespace)["status"]
    cluster.apply(strategy_run(namespace=namespace, source=HOLD, params={"weight": 0.2}))
    run = wait_finished(cluster, namespace)
    second = run["status"]
    assert [(each["inputsHash"], each["phase"], each["finishedAt"], each["summary"]) for each in second["history"]] == [
        (first["inputsHash"], "Succeeded", first["finishedAt"], first["summary"])
    ]
    assert second["inputsHash"] != first["inputsHash"]
    assert second["metrics"]["exposure"] == first["metrics"]["exposure"]
    assert second["metrics"]["volatility"] == pytest.approx(2 * first["metrics"]["volatility"], rel=0.2)
    assert {each["observedGeneration"] for each in second["conditions"]} == {run["metadata"]["generation"]} == {2}
    assert _created(jobs) == [each["attempts"][0]["jobName"] for each in (first, second)]
    wait_until(
        "the reports of both answers are kept, and no inputs",
        lambda: sorted(each for each in _belongings(cluster, namespace) if each.startswith("ConfigMap/")),
        lambda found: (
            found == sorted(f"ConfigMap/{each['report']['configMap']}" for each in (second, *second["history"]))
        ),
    )


def test_edit_ends_the_attempt_that_it_overtakes(cluster: Cluster, namespace: str, journal: Open) -> None:
    """Edited while it runs, a run drops the Job of its old inputs and answers for the new ones alone."""
    jobs = journal(JOB)
    cluster.apply(strategy_run(namespace=namespace, source=SLOW, params={"seconds": 3600}))
    old = _wait_phase(cluster, namespace, "Running")["status"]["attempts"][0]["jobName"]
    cluster.apply(strategy_run(namespace=namespace, source=SLOW, params={"seconds": 0}))
    status = wait_finished(cluster, namespace)["status"]
    assert (status["phase"], len(status["attempts"]), status["history"]) == ("Succeeded", 1, [])
    wait_until("the old Job is gone", lambda: cluster.find(JOB, old, namespace), lambda found: found is None)
    assert _created(jobs) == [old, status["attempts"][0]["jobName"]]


def test_annotation_repeats_the_same_inputs(cluster: Cluster, namespace: str) -> None:
    """A new value of the rerun annotation evaluates the same inputs again, in another Job, to the same answer."""
    run = strategy_run(namespace=namespace, source=HOLD, params={"weight": 0.1})
    cluster.apply(run)
    first = wait_finished(cluster, namespace)["status"]
    run["metadata"]["annotations"] = {RERUN_ANNOTATION: "once more"}
    cluster.apply(run)
    wait_until(
        "the run is evaluated again",
        lambda: cluster.get(STRATEGY_RUN, "run", namespace)["status"],
        lambda status: len(status["history"]) == 1 and status["phase"] == "Succeeded",
        seconds=IN_LINE,
    )
    second = wait_finished(cluster, namespace)["status"]
    assert (first.get("observedRerun"), second["observedRerun"]) == (None, "once more")
    assert second["metrics"] == first["metrics"]
    assert second["provenance"] == first["provenance"]
    assert second["attempts"][0]["jobUID"] != first["attempts"][0]["jobUID"]


def test_same_inputs_are_evaluated_once(cluster: Cluster, namespace: str, journal: Open) -> None:
    """Applied again, with another label and with other retries, a run keeps its answer, and can still be waited for."""
    run = strategy_run(namespace=namespace, source=HOLD, params={"weight": 0.1})
    cluster.apply(run)
    first = wait_finished(cluster, namespace)["status"]
    jobs = journal(JOB)
    cluster.apply(run)
    run["metadata"]["labels"] = {"looked-at": "true"}
    cluster.apply(run)
    run["spec"] |= {"retry": {"limit": 0}, "ttlSecondsAfterFinished": 1800}
    cluster.apply(run)
    second = wait_until(
        "the operator has seen the last edit",
        lambda: cluster.get(STRATEGY_RUN, "run", namespace)["status"],
        lambda status: status["observedGeneration"] == 2,
    )
    cluster.kubectl("wait", "--namespace", namespace, "--for=condition=Finished", "--timeout=60s", f"{RESOURCE}/run")
    changed = {key for key in first.keys() | second.keys() if first.get(key) != second.get(key)}
    assert changed <= {"observedGeneration", "conditions"}
    assert [each["lastTransitionTime"] for each in second["conditions"]] == [
        each["lastTransitionTime"] for each in first["conditions"]
    ]
    assert _created(jobs) == []


def _at_once(_cluster: Cluster, _namespace: str) -> None:
    """Not even wait for the operator to see it."""


def _with_a_job(cluster: Cluster, namespace: str) -> None:
    wait_until("there is a Job", lambda: cluster.list(JOB, namespace), bool, seconds=IN_LINE)


def _running(cluster: Cluster, namespace: str) -> None:
    _wait_phase(cluster, namespace, "Running")


def _timed_out(cluster: Cluster, namespace: str) -> None:
    _wait_phase(cluster, namespace, "Failed")


@pytest.mark.parametrize(
    ("moment", "spec"),
    [
        pytest.param(_at_once, {}, id="at-once"),
        pytest.param(_with_a_job, {}, id="with-a-job"),
        pytest.param(_running, {}, id="running"),
        pytest.param(_timed_out, {"timeoutSeconds": 10}, id="timed-out"),
    ],
)
def test_deleted_run_leaves_nothing(
    cluster: Cluster, namespace: str, moment: Callable[[Cluster, str], None], spec: dict[str, Any]
) -> None:
    """Whenever it is deleted, its Job, pod and ConfigMap go too, and none comes back."""
    cluster.create(strategy_run(namespace=namespace, source=SLOW, params={"seconds": 3600}, **spec))
    moment(cluster, namespace)
    cluster.delete(STRATEGY_RUN, "run", namespace)
    wait_until("nothing is left", lambda: _belongings(cluster, namespace), lambda found: not found)
    # The operator has had its turn when it has answered another run.
    cluster.create(strategy_run("fence", namespace, source="this is not Python"))
    wait_finished(cluster, namespace, "fence")
    wait_until(
        "only the other run is there",  # the job controller may be late with a pod, whose Job is gone
        lambda: _belongings(cluster, namespace),
        lambda found: found == ["StrategyRun/fence"],
    )


@pytest.mark.parametrize("kind", [JOB, POD], ids=lambda kind: kind.kind)
def test_attempt_that_somebody_deleted_is_repeated(cluster: Cluster, namespace: str, kind: Kind) -> None:
    """Evidence that vanished is the platform's failure: it goes on record and a second attempt succeeds."""
    cluster.create(strategy_run(namespace=namespace, source=SLOW, params={"seconds": 45}))
    _wait_phase(cluster, namespace, "Running")
    (victim,) = cluster.list(kind, namespace)
    cluster.delete(kind, victim["metadata"]["name"], namespace)
    status = wait_finished(cluster, namespace)["status"]
    assert [(each["number"], each["reason"]) for each in status["attempts"]] == [(1, "JobVanished"), (2, "Evaluated")]
    assert status["phase"] == "Succeeded"
    assert len({each["jobUID"] for each in status["attempts"]}) == 2


def test_vanished_attempt_is_final_where_no_retry_is_wanted(cluster: Cluster, namespace: str) -> None:
    """With a retry limit of 0 the same event ends the run, as a failure of the platform."""
    run = strategy_run(namespace=namespace, source=SLOW, params={"seconds": 3600}, retry={"limit": 0})
    cluster.create(run)
    _wait_phase(cluster, namespace, "Running")
    (victim,) = cluster.list(JOB, namespace)
    cluster.delete(JOB, victim["metadata"]["name"], namespace)
    status = wait_finished(cluster, namespace)["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "JobVanished")
    assert (status["failure"]["class"], len(status["attempts"])) == ("Platform", 1)
