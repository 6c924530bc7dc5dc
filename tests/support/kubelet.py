"""A kubelet's hand: what a node would say of a pod, written by a test on pods that no node ever sees."""

from typing import Any

from support.builders import last_words, report_text, running, terminated, waiting
from support.cluster import JOB, POD, Cluster, Manifest
from support.waiting import wait_until

_JOB_LABEL = "batch.kubernetes.io/job-name"


def pod_of(cluster: Cluster, namespace: str, job_name: str) -> Manifest:
    """Wait for the pod of a Job."""
    pods = wait_until(
        f"Job {job_name} has a pod",
        lambda: cluster.list(POD, namespace, labels=f"{_JOB_LABEL}={job_name}"),
        lambda found: len(found) == 1,
    )
    return pods[0]


def start(cluster: Cluster, pod: Manifest) -> None:
    """Let the strategy begin."""
    _write(cluster, pod, "Pending", strategy=running(), evaluate=waiting())


def succeed(cluster: Cluster, pod: Manifest, **report: Any) -> None:
    """Let both steps end as they should, with the report that belongs to the pod's Job."""
    job = cluster.get(JOB, pod["metadata"]["ownerReferences"][0]["name"], pod["metadata"]["namespace"])
    words = last_words("Completed", "", exitCode=0, lastLines=[])
    ends = terminated(message=words), terminated(message=report_text(job, **report))
    _write(cluster, pod, "Succeeded", strategy=ends[0], evaluate=ends[1])


def fail(cluster: Cluster, pod: Manifest, message: str | None = None, exit_code: int = 1) -> None:
    """Let the strategy end with an error."""
    words = last_words() if message is None else message
    _write(cluster, pod, "Failed", strategy=terminated(exit_code, message=words), evaluate=waiting())


def evict(cluster: Cluster, pod: Manifest) -> None:
    """End the pod because the node has no memory left."""
    gone = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet", "message": "low on memory"}
    said = {"reason": "Evicted", "message": "The node was low on resource: memory.", "conditions": [gone]}
    _write(cluster, pod, "Failed", strategy=terminated(137), evaluate=waiting(), **said)


def _write(cluster: Cluster, pod: Manifest, phase: str, *, strategy: Manifest, evaluate: Manifest, **said: Any) -> None:
    def container(name: str, state: Manifest) -> Manifest:
        ready = "terminated" in state and state["terminated"]["exitCode"] == 0
        return {"name": name, "state": state, "ready": ready, "restartCount": 0, "image": "", "imageID": "sha256:feed"}

    status = {
        "phase": phase,
        "initContainerStatuses": [container("strategy", strategy)],
        "containerStatuses": [container("evaluate", evaluate)],
        **said,
    }
    meta = pod["metadata"]
    cluster.merge(POD, meta["name"], meta["namespace"], {"status": status}, subresource="status")
