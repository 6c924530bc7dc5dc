"""The operator in the cluster: no pod for what cannot run; killed at its work, it loses and repeats nothing."""

from collections import Counter

import pytest

from support.cluster import JOB, POD, STRATEGY_RUN, Cluster, Manifest
from support.journal import Open
from support.runs import strategy_run, wait_finished
from support.waiting import wait_until

SYSTEM = "finlab-sandbox-system"
OPERATOR = "finlab-sandbox-operator"
NAMES = [f"run-{number}" for number in range(10)]
FINAL = ("Succeeded", "Failed")


@pytest.mark.alone
def test_ten_runs_outlive_an_operator_that_is_killed_twice(cluster: Cluster, namespace: str, journal: Open) -> None:
    """Each run ends Succeeded after one attempt, with one Job and one pod; no answer is ever taken back."""
    journals = {kind: journal(kind) for kind in (STRATEGY_RUN, JOB, POD)}
    for name in NAMES:
        cluster.create(strategy_run(name, namespace))
    for least, phases in ((2, ("Running", *FINAL)), (5, FINAL)):
        _wait_for_phases(cluster, namespace, least, phases)
        _kill_operator(cluster)
    _wait_for_phases(cluster, namespace, len(NAMES), FINAL)

    runs = {run["metadata"]["name"]: run for run in cluster.list(STRATEGY_RUN, namespace)}
    assert {name: runs[name]["status"]["phase"] for name in NAMES} == dict.fromkeys(NAMES, "Succeeded")
    assert [len(runs[name]["status"]["attempts"]) for name in NAMES] == [1] * 10
    assert len({str(runs[name]["status"]["metrics"]) for name in NAMES}) == 1
    created = [seen for change, seen in journals[JOB].read() if change == "ADDED"]
    assert sorted(job["metadata"]["uid"] for job in created) == sorted(
        runs[name]["status"]["attempts"][0]["jobUID"] for name in NAMES
    )
    pods = [seen for change, seen in journals[POD].read() if change == "ADDED"]
    assert Counter(_owner(pod) for pod in pods) == Counter(job["metadata"]["uid"] for job in created)
    answers = Counter(
        (seen["metadata"]["name"], seen["status"]["finishedAt"])
        for _, seen in journals[STRATEGY_RUN].read()
        if seen.get("status", {}).get("phase") in FINAL
    )
    assert sorted(name for name, _ in answers) == NAMES


def test_code_that_cannot_be_read_never_gets_a_pod(cluster: Cluster, namespace: str, journal: Open) -> None:
    """A syntax error ends as CodeRejected with its line, on a busy cluster too, and no Job ever exists."""
    jobs = journal(JOB)
    source = """\
        def strategy(data, params):
            return data["close"] >
        """
    cluster.create(strategy_run(namespace=namespace, source=source))
    status = wait_finished(cluster, namespace)["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "CodeRejected")
    assert status["failure"]["class"] == "User"
    assert status["failure"]["findings"] == [
        {"line": 2, "rule": "syntax", "hint": "Python cannot read this line: invalid syntax"}
    ]
    assert status["attempts"] == []
    assert jobs.read() == []


def _wait_for_phases(cluster: Cluster, namespace: str, least: int, phases: tuple[str, ...]) -> None:
    def count() -> Counter[str]:
        return Counter(str(run.get("status", {}).get("phase")) for run in cluster.list(STRATEGY_RUN, namespace))

    def enough(found: Counter[str]) -> bool:
        return sum(found[phase] for phase in phases) >= least

    wait_until(f"{least} of ten runs are {' or '.join(phases)}", count, enough, seconds=240)


def _kill_operator(cluster: Cluster) -> None:
    """Kill the operator without a chance to tidy up, and wait until another one serves."""
    killed = _operator_pods(cluster)
    assert killed, f"there is no operator in namespace {SYSTEM}; `make up` deploys it"
    for name in killed:
        cluster.kubectl("delete", "pod", name, "--namespace", SYSTEM, "--force", "--grace-period=0")
    wait_until(
        "another operator serves",
        lambda: _operator_pods(cluster),
        lambda pods: not killed.keys() & pods.keys() and any(pods.values()),
        seconds=180,  # the lease of the one before has to run out
    )


def _operator_pods(cluster: Cluster) -> dict[str, bool]:
    """Name the operator's pods, and say whether each is ready."""
    pods = cluster.list(POD, SYSTEM, labels=f"app.kubernetes.io/name={OPERATOR}")
    ready = {"type": "Ready", "status": "True"}
    return {
        pod["metadata"]["name"]: any(ready.items() <= each.items() for each in pod["status"].get("conditions", []))
        for pod in pods
    }


def _owner(pod: Manifest) -> str:
    (owner,) = pod["metadata"]["ownerReferences"]
    uid: str = owner["uid"]
    return uid
