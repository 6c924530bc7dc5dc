"""Raw Jobs and pods as small values: only what decisions are made of."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from strategyrun.domain import naming
from strategyrun.domain.job import (
    ATTEMPT_ANNOTATION,
    DATASET_CONTAINER,
    EVALUATE_CONTAINER,
    NONCE_VARIABLE,
    PINNED_ANNOTATIONS,
    STRATEGY_CONTAINER,
)
from strategyrun.domain.model import Model
from strategyrun.domain.strategyrun import KIND, KUEUE_LABEL

_NEVER = "1970-01-01T00:00:00Z"


class ContainerState(Model):
    """One container of the pod, as the kubelet reports it."""

    waiting: str | None = None
    running: bool = False
    terminated: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""
    message: str = ""
    image_id: str | None = None

    @property
    def failed(self) -> bool:
        """Whether the container ended with an error."""
        return self.terminated and self.exit_code != 0

    @property
    def lost(self) -> bool:
        """Whether the kubelet knows no more than that the container is not there."""
        return self.reason == "ContainerStatusUnknown"


class PodObservation(Model):
    """The pod of an attempt."""

    uid: str
    version: int = 0
    """Of two observations the one with the larger version is the later."""
    name: str
    namespace: str
    run_uid: str
    job_uid: str | None
    created_at: datetime
    deleting: bool = False
    leaving_since: datetime | None = None
    """When somebody asked for the pod to go: a drain, a preemption, a deletion."""
    gone_by: datetime | None = None
    """When its grace is over: a node ends it by then."""
    node: str | None = None
    phase: str = "Pending"
    reason: str = ""
    message: str = ""
    scheduled_at: datetime | None = None
    unschedulable: str | None = None
    mounted: bool = False
    """Whether its volumes and its network are there: what was in the way of that before is not any more."""
    disruption: str | None = None
    dataset_image: str | None = None
    """The image that is mounted as the dataset."""
    dataset: ContainerState | None = None
    """The loader of the dataset; None where the dataset is in the sandbox image."""
    strategy: ContainerState = ContainerState()
    evaluate: ContainerState = ContainerState()

    @property
    def done(self) -> bool:
        """Whether nothing of this pod can run any more."""
        return (
            self.phase in ("Succeeded", "Failed") or self.evaluate.terminated or self.strategy.failed or self.unloadable
        )

    @property
    def unloadable(self) -> bool:
        """Whether the loader of the dataset ended with an error."""
        return self.dataset is not None and self.dataset.failed


class JobObservation(Model):
    """The Job of an attempt."""

    uid: str
    version: int = 0
    name: str
    namespace: str
    run_uid: str | None
    created_at: datetime
    nonce: str
    pinned: dict[str, str]
    attempt_created_at: str | None = None
    """Of the attempt that it was made for."""
    deleting: bool = False
    finished_at: datetime | None = None
    failure: str | None = None
    failure_message: str = ""
    in_queue: bool = False
    """Whether Kueue lets it in."""
    suspended: bool = False
    """Whether somebody, Kueue as a rule, holds it back, or its controller has not let it go on yet. One that has ended
    is not, whatever is still asked of it."""
    resumed: bool = False
    """Whether it was held back before, and goes on."""
    released_at: datetime | None = None
    """When the Job's own clock began: it begins again with every release."""

    @property
    def finished(self) -> bool:
        """Whether its controller is done with it."""
        return self.finished_at is not None

    @property
    def ended(self) -> bool:
        """Whether no pod will be started for this Job any more."""
        return self.finished or self.failure is not None

    def has(self, pod: PodObservation) -> bool:
        """Whether a pod is the Job's, since it was last let go: suspending a Job takes its pod away.

        The cluster counts whole seconds, in which a pod may be made, be taken away and be followed by the next.
        """
        left, released = pod.leaving_since, self.released_at
        of_an_earlier_release = self.resumed and left and released and left <= released
        return pod.job_uid == self.uid and not of_an_earlier_release

    def is_over(self, pods: Iterable[PodObservation]) -> bool:
        """Whether its pod has ended, and no other will follow."""
        return not self.suspended and any(self.has(pod) and pod.done for pod in pods)

    def can_run(self, pods: Iterable[PodObservation]) -> bool:
        """Whether a strategy may run or start under it."""
        return not (self.finished or self.is_over(pods))


def observe_job(body: dict[str, Any]) -> JobObservation:
    """Read a Job of the API server. Its owner, not its labels, says whose it is."""
    meta, status = body["metadata"], body.get("status") or {}
    template = body["spec"]["template"]
    annotations = template.get("metadata", {}).get("annotations") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or [] if c.get("status") == "True"}
    end = conditions.get("Complete") or conditions.get("Failed")
    failed = conditions.get("Failed") or conditions.get("FailureTarget")
    variables = {
        variable["name"]: variable.get("value", "")
        for container in template["spec"]["containers"]
        if container["name"] == EVALUATE_CONTAINER
        for variable in container.get("env") or []
    }
    return JobObservation(
        uid=meta["uid"],
        version=meta.get("resourceVersion", 0),
        name=meta["name"],
        namespace=meta["namespace"],
        run_uid=controller_of(meta, KIND),
        created_at=meta["creationTimestamp"],
        nonce=variables.get(NONCE_VARIABLE, ""),
        attempt_created_at=annotations.get(ATTEMPT_ANNOTATION),
        pinned={name: annotations.get(key, "") for name, key in PINNED_ANNOTATIONS.items()},
        deleting="deletionTimestamp" in meta,
        finished_at=end.get("lastTransitionTime") or meta["creationTimestamp"] if end else None,
        failure=failed.get("reason", "") if failed else None,
        failure_message=failed.get("message", "") if failed else "",
        in_queue=KUEUE_LABEL in (meta.get("labels") or {}),
        suspended=not (end or failed) and (bool(body["spec"].get("suspend")) or "Suspended" in conditions),
        resumed=any((c["type"], c.get("status")) == ("Suspended", "False") for c in status.get("conditions") or []),
        released_at=status.get("startTime"),
    )


def observe_pod(body: dict[str, Any]) -> PodObservation:
    """Read a pod of the API server."""
    meta, spec, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    loads = any(container["name"] == DATASET_CONTAINER for container in spec.get("initContainers") or [])
    scheduled = conditions.get("PodScheduled", {})
    disruption = conditions.get("DisruptionTarget", {})
    return PodObservation(
        uid=meta["uid"],
        version=meta.get("resourceVersion", 0),
        name=meta["name"],
        namespace=meta["namespace"],
        run_uid=(meta.get("labels") or {}).get(naming.RUN_UID_LABEL, ""),
        job_uid=controller_of(meta, "Job"),
        created_at=meta["creationTimestamp"],
        deleting="deletionTimestamp" in meta,
        leaving_since=_leaving_since(meta, spec, disruption),
        gone_by=meta.get("deletionTimestamp"),
        node=spec.get("nodeName"),
        phase=status.get("phase", "Pending"),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        scheduled_at=scheduled.get("lastTransitionTime") if scheduled.get("status") == "True" else None,
        unschedulable=scheduled.get("message", "") if scheduled.get("reason") == "Unschedulable" else None,
        mounted=conditions.get("PodReadyToStartContainers", {}).get("status") == "True",
        disruption=disruption.get("reason") if disruption.get("status") == "True" else None,
        dataset_image=next((v["image"].get("reference") for v in spec.get("volumes") or [] if "image" in v), None),
        dataset=observe_container(status.get("initContainerStatuses"), DATASET_CONTAINER) if loads else None,
        strategy=observe_container(status.get("initContainerStatuses"), STRATEGY_CONTAINER),
        evaluate=observe_container(status.get("containerStatuses"), EVALUATE_CONTAINER),
    )


_LAST_WORD = timedelta(seconds=10)
"""How long a kubelet may take to tell that a pod's containers are dead: it deletes the pod again, without grace, and
the API server forgets when it was asked first. Who failed shortly before is tried again."""


def _leaving_since(meta: dict[str, Any], spec: dict[str, Any], disruption: dict[str, Any]) -> datetime | None:
    moments = []
    if disruption.get("status") == "True" and disruption.get("lastTransitionTime"):
        moments.append(_moment(disruption["lastTransitionTime"]))
    if "deletionTimestamp" in meta:
        grace = timedelta(seconds=meta.get("deletionGracePeriodSeconds") or 0)
        asked_before = _LAST_WORD + timedelta(seconds=spec.get("terminationGracePeriodSeconds") or 0)
        moments.append(_moment(meta["deletionTimestamp"]) - (grace or asked_before))
    return min(moments, default=None)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def controller_of(meta: dict[str, Any], kind: str) -> str | None:
    """Return the UID of the object of that kind that owns and manages another, by the other's metadata."""
    for owner in meta.get("ownerReferences") or []:
        if owner.get("controller") and owner["kind"] == kind:
            return str(owner["uid"])
    return None


def observe_container(statuses: list[dict[str, Any]] | None, name: str) -> ContainerState:
    """Read what the kubelet says of one container of a pod."""
    status = next((s for s in statuses or [] if s["name"] == name), None)
    if status is None:
        return ContainerState()
    state = status.get("state") or {}
    image_id = status.get("imageID") or None
    if "terminated" in state:
        end = state["terminated"]
        return ContainerState(
            terminated=True,
            # For a container that could not be started, the kubelet writes the beginning of time.
            started_at=None if end.get("startedAt") == _NEVER else end.get("startedAt"),
            finished_at=end.get("finishedAt"),
            exit_code=end.get("exitCode"),
            signal=end.get("signal") or None,
            reason=end.get("reason", ""),
            message=end.get("message", ""),
            image_id=image_id,
        )
    if "running" in state:
        return ContainerState(running=True, started_at=state["running"].get("startedAt"), image_id=image_id)
    waiting = state.get("waiting") or {}
    return ContainerState(waiting=waiting.get("reason", ""), message=waiting.get("message", ""), image_id=image_id)
