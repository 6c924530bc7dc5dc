"""What a test does with runs on the rig, what it waits for there, and all that an operator writes for one."""

import os
from time import monotonic

from support import kubelet
from support.bench import Bench
from support.cluster import JOB, Manifest
from support.fault_proxy import When, to, to_phase
from support.plays import SCORED
from support.waiting import wait_until

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
"""All that an operator does for the first run of a namespace, in this order."""


def wait_long(what: str, seconds: float) -> None:
    """Let so much time pass: that something is away for long is what a test is about."""
    began = monotonic()
    wait_until(what, lambda: monotonic() - began, lambda passed: passed >= seconds, seconds=seconds + 1)


def as_asked(what: str, usual: int) -> int:
    """Return how many or how long: what the environment says in FAULTS_RUNS and its like, or the usual."""
    return int(os.environ.get(f"FAULTS_{what}", usual))


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


def unfinished_jobs(bench: Bench) -> list[str]:
    """List the Jobs that are not complete."""
    return [
        job["metadata"]["name"]
        for job in bench.cluster.list(JOB, bench.namespace)
        if "Complete" not in [each["type"] for each in job.get("status", {}).get("conditions", [])]
    ]
