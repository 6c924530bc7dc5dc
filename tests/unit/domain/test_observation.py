"""Jobs and pods as the API server really returns them, read as small values."""

from datetime import UTC, datetime

import pytest
import yaml

from strategyrun.domain.observation import ContainerState, observe_job, observe_pod
from support.builders import (
    JOB_UID,
    NONCE,
    NOW,
    RUN_UID,
    Document,
    after,
    job_body,
    make_inputs,
    make_job,
    make_pod,
    pod_body,
    running,
    terminated,
    unlocated,
    waiting,
)

OUT_OF_MEMORY_YET_EXIT_0 = """
metadata:
  name: momentum-6bca50bb2fd1-1-x7k2p
  namespace: research
  uid: 7c1d2e3f-aaaa-4bbb-8ccc-9ddddddddddd
  resourceVersion: "4711"
  creationTimestamp: "2026-03-02T09:30:00Z"
  labels:
    batch.kubernetes.io/controller-uid: b2f6d7c4-1111-4222-8333-944444444444
    batch.kubernetes.io/job-name: momentum-6bca50bb2fd1-1
    finlab-sandbox.dev/run-uid: 5f0c9a3e-6f2b-4a55-9d0e-0c1c8b1f7a10
  ownerReferences:
  - {apiVersion: batch/v1, kind: Job, name: momentum-6bca50bb2fd1-1, controller: true, blockOwnerDeletion: true,
     uid: b2f6d7c4-1111-4222-8333-944444444444}
spec:
  nodeName: finlab-control-plane
status:
  phase: Running
  qosClass: Burstable
  startTime: "2026-03-02T09:30:01Z"
  conditions:
  - {type: PodReadyToStartContainers, status: "True", lastProbeTime: null, lastTransitionTime: "2026-03-02T09:30:02Z"}
  - {type: Initialized, status: "True", lastProbeTime: null, lastTransitionTime: "2026-03-02T09:30:09Z"}
  - {type: Ready, status: "False", reason: ContainersNotReady, lastTransitionTime: "2026-03-02T09:30:00Z"}
  - {type: PodScheduled, status: "True", lastProbeTime: null, lastTransitionTime: "2026-03-02T09:30:01Z"}
  initContainerStatuses:
  - name: strategy
    image: docker.io/library/finlab-sandbox:dev
    imageID: sha256:9f1c
    containerID: containerd://55aa
    lastState: {}
    ready: true
    restartCount: 0
    started: false
    state:
      terminated:
        containerID: containerd://55aa
        exitCode: 0
        reason: OOMKilled
        message: '{"schema":1,"reason":"Completed"}'
        startedAt: "2026-03-02T09:30:02Z"
        finishedAt: "2026-03-02T09:30:08Z"
  containerStatuses:
  - name: evaluate
    image: finlab-sandbox:dev
    imageID: ""
    lastState: {}
    ready: false
    restartCount: 0
    started: false
    state:
      waiting:
        reason: PodInitializing
"""


def test_reads_a_pod_of_which_a_child_was_killed_for_memory() -> None:
    """The kubelet says OOMKilled and exit code 0 at once, and the pod goes on to its main container."""
    pod = observe_pod(yaml.safe_load(OUT_OF_MEMORY_YET_EXIT_0))
    assert pod.version == 4711
    assert (pod.run_uid, pod.job_uid) == (RUN_UID, JOB_UID)
    assert (pod.phase, pod.node, pod.done) == ("Running", "finlab-control-plane", False)
    assert pod.scheduled_at == datetime(2026, 3, 2, 9, 30, 1, tzinfo=UTC)
    assert pod.strategy == ContainerState(
        terminated=True,
        started_at=datetime(2026, 3, 2, 9, 30, 2, tzinfo=UTC),
        finished_at=datetime(2026, 3, 2, 9, 30, 8, tzinfo=UTC),
        exit_code=0,
        reason="OOMKilled",
        message='{"schema":1,"reason":"Completed"}',
        image_id="sha256:9f1c",
    )
    assert pod.evaluate == ContainerState(waiting="PodInitializing")
    assert not pod.strategy.failed


def test_reads_a_pod_that_nobody_has_looked_at() -> None:
    """A pod has neither node nor conditions nor containers in its first version."""
    body = pod_body(node=None)
    body["status"] = {"phase": "Pending", "qosClass": "Burstable"}
    pod = observe_pod(body)
    assert (pod.node, pod.scheduled_at, pod.unschedulable) == (None, None, None)
    assert pod.strategy == pod.evaluate == ContainerState()
    assert not pod.done


def test_a_pod_without_a_status_is_pending() -> None:
    """Nothing is required of what the kubelet fills in."""
    body = pod_body()
    del body["status"]
    assert observe_pod(body).phase == "Pending"


@pytest.mark.parametrize(
    ("condition", "unschedulable"),
    [
        pytest.param(
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/1 nodes are available: 1 Insufficient memory.",
            },
            "0/1 nodes are available: 1 Insufficient memory.",
            id="unschedulable",
        ),
        pytest.param({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}, None, id="gated"),
        pytest.param({"type": "PodScheduled", "status": "False", "reason": "SchedulerError"}, None, id="error"),
    ],
)
def test_reads_why_a_pod_has_no_node(condition: Document, unschedulable: str | None) -> None:
    """Only the scheduler's word that there is no room counts."""
    pod = make_pod(node=None, scheduled=condition)
    assert pod.unschedulable == unschedulable
    assert pod.scheduled_at is None


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        pytest.param(
            waiting("ImagePullBackOff", 'Back-off pulling image "finlab-sandbox:dev"'),
            ContainerState(waiting="ImagePullBackOff", message='Back-off pulling image "finlab-sandbox:dev"'),
            id="waiting",
        ),
        pytest.param(running(after(3)), ContainerState(running=True, started_at=after(3)), id="running"),
        pytest.param(
            terminated(139, started=NOW, finished=after(4)),
            ContainerState(terminated=True, exit_code=139, reason="Error", started_at=NOW, finished_at=after(4)),
            id="terminated",
        ),
        pytest.param(
            unlocated(),
            ContainerState(
                terminated=True,
                exit_code=137,
                reason="ContainerStatusUnknown",
                message="The container could not be located when the pod was terminated",
            ),
            id="unlocated",
        ),
        pytest.param({}, ContainerState(waiting=""), id="no-state-yet"),
    ],
)
def test_reads_a_container(state: Document, seen: ContainerState) -> None:
    """Each of the three states, and what the kubelet writes when it has lost a container."""
    assert make_pod(strategy=state).strategy == seen.model_copy(update={"image_id": "finlab-sandbox@sha256:feed"})


@pytest.mark.parametrize(
    ("changes", "since"),
    [
        pytest.param({}, None, id="stays"),
        pytest.param({"disruption": "EvictionByEvictionAPI", "disrupted": after(10)}, after(10), id="drained"),
        pytest.param({"deleted": after(12), "grace": 30}, after(12), id="deleted"),
        pytest.param({"deleted": after(12), "grace": 0}, after(0), id="dead-and-deleted-again"),
        pytest.param(
            {"disruption": "DeletionByTaintManager", "disrupted": after(10), "deleted": after(11)},
            after(10),
            id="whichever-was-first",
        ),
    ],
)
def test_reads_since_when_a_pod_was_to_go(changes: Document, since: datetime | None) -> None:
    """A deletion counts from when it was asked for: its timestamp lies the grace period later.

    A kubelet that is done deletes once more, without grace; from then on the first time is known no more.
    """
    assert make_pod(**changes).leaving_since == since


def test_reads_by_when_a_pod_is_to_be_gone() -> None:
    """The API server stamps a deletion with the end of the grace."""
    assert make_pod().gone_by is None
    assert make_pod(deleted=after(12), grace=30).gone_by == after(42)


def test_a_disruption_that_is_over_is_none() -> None:
    """Only a condition that is True says anything."""
    body = pod_body(disruption="PreemptionByScheduler")
    body["status"]["conditions"][-1]["status"] = "False"
    pod = observe_pod(body)
    assert (pod.disruption, pod.leaving_since) == (None, None)


@pytest.mark.parametrize(
    ("changes", "done"),
    [
        pytest.param({"strategy": waiting()}, False, id="waiting"),
        pytest.param({"phase": "Running", "strategy": terminated(0), "evaluate": running()}, False, id="evaluating"),
        pytest.param({"phase": "Running", "strategy": terminated(0), "evaluate": terminated(0)}, True, id="evaluated"),
        pytest.param({"phase": "Pending", "strategy": terminated(1)}, True, id="strategy-failed"),
        pytest.param({"phase": "Failed"}, True, id="failed"),
        pytest.param({"phase": "Succeeded"}, True, id="succeeded"),
    ],
)
def test_a_pod_is_done_when_nothing_of_it_can_run(changes: Document, done: bool) -> None:
    """The phase lags behind its containers; the containers count."""
    assert make_pod(**changes).done is done


def test_whose_a_pod_is_says_its_owner() -> None:
    """A pod that only carries labels belongs to no Job; an owner that does not manage it is none."""
    body = pod_body()
    body["metadata"]["ownerReferences"][0]["controller"] = False
    assert observe_pod(body).job_uid is None
    del body["metadata"]["ownerReferences"]
    assert observe_pod(body).job_uid is None


def test_reads_the_job_that_the_operator_made() -> None:
    """What was pinned when it was created is read back from its immutable template."""
    job = make_job(created=after(1))
    assert (job.uid, job.run_uid, job.namespace, job.created_at) == (JOB_UID, RUN_UID, "research", after(1))
    assert job.nonce == NONCE
    assert job.pinned == make_inputs().hashes
    assert (job.finished, job.failure, job.ended, job.deleting) == (False, None, False, False)


@pytest.mark.parametrize(
    ("conditions", "finished", "failure", "ended"),
    [
        pytest.param({}, False, None, False, id="active"),
        pytest.param({"SuccessCriteriaMet": "CompletionsReached"}, False, None, False, id="about-to-complete"),
        pytest.param({"Complete": "CompletionsReached"}, True, None, True, id="complete"),
        pytest.param({"FailureTarget": "DeadlineExceeded"}, False, "DeadlineExceeded", True, id="about-to-fail"),
        pytest.param(
            {"FailureTarget": "BackoffLimitExceeded", "Failed": "BackoffLimitExceeded"},
            True,
            "BackoffLimitExceeded",
            True,
            id="failed",
        ),
    ],
)
def test_reads_how_a_job_stands(conditions: dict[str, str], finished: bool, failure: str | None, ended: bool) -> None:
    """FailureTarget comes first; Failed waits until the last pod has gone, on a dead node for long."""
    job = make_job(conditions=conditions)
    assert (job.finished, job.failure, job.ended) == (finished, failure, ended)


def test_a_job_without_status_or_conditions_is_active() -> None:
    """As it is right after the POST."""
    body = job_body()
    del body["status"]
    assert not observe_job(body).ended


def test_whose_a_job_is_says_its_owner() -> None:
    """Labels can be copied by anybody: a Job with ours and no owner is not this run's."""
    body = job_body()
    del body["metadata"]["ownerReferences"]
    assert observe_job(body).run_uid is None


def test_a_foreign_job_has_neither_nonce_nor_hashes() -> None:
    """A Job that somebody else wrote can be read all the same, and proves nothing."""
    body = job_body()
    body["spec"]["template"] = {"spec": {"containers": [{"name": "main"}]}}
    job = observe_job(body)
    assert job.nonce == ""
    assert set(job.pinned.values()) == {""}


def test_a_job_that_is_being_deleted_says_so() -> None:
    """A foreground deletion leaves it visible until its pod has gone."""
    assert make_job(deleting=True).deleting


@pytest.mark.parametrize(
    ("spec", "conditions", "suspended"),
    [
        ({}, {}, False),
        ({"suspend": True}, {}, True),
        ({"suspend": True}, {"Suspended": "JobSuspended"}, True),
        ({"suspend": False}, {"Suspended": "JobSuspended"}, True),
        ({"suspend": True}, {"Complete": "CompletionsReached"}, False),
        ({"suspend": True}, {"FailureTarget": "DeadlineExceeded"}, False),
    ],
    ids=["never", "from-the-beginning", "held-back", "about-to-go-on", "complete", "failing"],
)
def test_a_job_is_suspended_until_its_controller_lets_it_go_on(
    spec: Document, conditions: dict[str, str], *, suspended: bool
) -> None:
    """Before that, its last pod is still the one that was taken away; once it has ended, nobody can hold it back."""
    body = job_body(conditions=conditions)
    assert observe_job(body | {"spec": body["spec"] | spec}).suspended is suspended


@pytest.mark.parametrize(
    ("released", "deleted", "its"),
    [(None, None, True), (0, None, True), (0, 5, True), (0, 0, False), (20, 5, False), (20, None, True)],
    ids=["not-begun", "runs", "taken-away", "in-the-second-of-its-release", "taken-away-before-it", "made-since"],
)
def test_a_job_has_the_pod_of_its_last_release(released: float | None, deleted: float | None, *, its: bool) -> None:
    """Suspending takes a pod away; what is said of it then is no news of the next one."""
    release = None if released is None else after(released)
    job = make_job().model_copy(update={"released_at": release, "resumed": True})
    pod = make_pod(strategy=running(), deleted=None if deleted is None else after(deleted))
    assert job.has(pod) is its
    assert job.model_copy(update={"resumed": False}).has(pod), "a Job that was never held back has one pod"
    assert not job.has(pod.model_copy(update={"job_uid": "another"}))


def test_a_disruption_without_a_time_is_a_disruption() -> None:
    """The field may be null: then nobody knows since when, and the pod is read like any other."""
    body = pod_body(strategy=running(), disruption="DeletionByTaintManager")
    body["status"]["conditions"][-1]["lastTransitionTime"] = None
    pod = observe_pod(body)
    assert (pod.disruption, pod.leaving_since) == ("DeletionByTaintManager", None)


def test_a_job_has_ended_when_its_controller_says_so() -> None:
    """Which is when its pod was counted, not when it was told to fail."""
    assert make_job(conditions={"FailureTarget": "DeadlineExceeded"}, ended=after(9)).finished_at is None
    assert make_job(conditions={"Complete": "CompletionsReached"}, ended=after(9)).finished_at == after(9)
