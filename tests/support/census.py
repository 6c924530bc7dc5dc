"""What became of all runs of a namespace, and whether anything was lost, done twice or left over."""

from collections import Counter

from strategyrun.domain import naming
from strategyrun.domain.strategyrun import written_status
from support.bench import OURS, Bench
from support.cluster import CONFIG_MAP, JOB, POD, Manifest
from support.fault_proxy import FaultProxy
from support.rig_operator import KillableOperator
from support.waiting import wait_until


def runs_of(bench: Bench) -> dict[str, Manifest]:
    """Read what the operator wrote of every run, by name."""
    return {
        run["metadata"]["name"]: written_status(run) or {} for run in bench.cluster.list(bench.kind, bench.namespace)
    }


def answers_of(bench: Bench) -> dict[str, str]:
    """Read the reason of every run that has come to its end, by name."""
    return {
        name: status["reason"]
        for name, status in runs_of(bench).items()
        if any((each["type"], each["status"]) == ("Finished", "True") for each in status.get("conditions", []))
    }


def wait_answers(bench: Bench, expected: dict[str, str], operator: KillableOperator) -> dict[str, Manifest]:
    """Wait until every run has the reason that is expected of it; return each one's status. An operator that ends
    is started again, as a kubelet does.

    However long it takes on a busy machine: it fails when for two minutes no run gets its answer.
    """
    answers: dict[str, str] = {}
    while answers != expected:
        count = len(answers)
        answers = wait_until(
            f"one more run of {len(expected)} has its answer, after {count}",
            operator.reviving(lambda: answers_of(bench)),
            lambda seen: seen == expected or len(seen) > count,  # noqa: B023 - done with before the next turn
            seconds=120,
            every=0.2 + len(expected) / 400,  # reading a thousand runs is work for the API server
        )
        wrong = {name: reason for name, reason in answers.items() if expected.get(name) != reason}
        assert not wrong, f"not as expected: {wrong}"
    return runs_of(bench)


def require_order(bench: Bench, proxy: FaultProxy, *, pods: bool = True, heard: bool = True) -> None:
    """Raise AssertionError unless each attempt had one Job and each Job one pod, nothing has been run again
    without a failure of the platform on record, and only what belongs to an attempt is there.

    Without `pods` a Job may have had two: a Job controller that loses an answer of the API server makes another.
    Without `heard` the proxy may not know of a Job that was made: an API server that dies gives no answer.
    """
    statuses = runs_of(bench)
    attempts = [attempt for status in statuses.values() for attempt in status["attempts"]]
    for name, status in statuses.items():
        for attempt in status["attempts"][:-1]:
            assert attempt["reason"] in PLATFORM_FAILURES, f"{name}: attempt after {attempt['reason']}: {attempt}"
    recorded = Counter(attempt["jobName"] for attempt in attempts)
    made = Counter({name: count for (resource, name), count in proxy.created.items() if resource == "jobs"})
    assert not made - recorded, f"made and not recorded: {made - recorded}"
    assert not heard or not recorded - made, f"recorded and not made: {recorded - made}"
    failed = {attempt["jobName"] for attempt in attempts if attempt.get("reason") in PLATFORM_FAILURES}

    def each_has_its_own(seen: tuple[dict[str, str], Counter[str]]) -> bool:
        jobs, owners = seen
        needed = {uid for name, uid in jobs.items() if name not in failed}
        return needed <= owners.keys() <= set(jobs.values())

    # The garbage collector comes after whoever deletes a Job.
    jobs, owners = wait_until("each Job has its pods", lambda: _jobs_and_owners(bench), each_has_its_own)
    assert jobs.keys() <= recorded.keys()
    assert not pods or set(owners.values()) <= {1}, f"by the Job's UID its pods {owners}"
    wait_until("no snapshot is left", lambda: snapshots_of(bench), lambda left: not left)


def _jobs_and_owners(bench: Bench) -> tuple[dict[str, str], Counter[str]]:
    """Return the UIDs of Jobs by their names, and how many pods there are by the UID of their Job."""
    jobs = {job["metadata"]["name"]: job["metadata"]["uid"] for job in bench.cluster.list(JOB, bench.namespace)}
    pods = bench.cluster.list(POD, bench.namespace, labels=OURS)
    return jobs, Counter(owner["uid"] for pod in pods for owner in pod["metadata"]["ownerReferences"])


def snapshots_of(bench: Bench) -> list[str]:
    """List what is left of inputs."""
    strategies = f"{OURS},{naming.COMPONENT_LABEL}=strategy"
    return [each["metadata"]["name"] for each in bench.cluster.list(CONFIG_MAP, bench.namespace, labels=strategies)]


PLATFORM_FAILURES = {"JobVanished", "NodeLost", "Evicted"}
