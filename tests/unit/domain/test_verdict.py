"""What became of an attempt, from what the kubelet and the Job controller really write."""

import json
from typing import Any

import pytest

from strategyrun.domain.observation import JobObservation, PodObservation, observe_pod
from strategyrun.domain.outcomes import FAILURES, SAID_BY_HARNESS, Reason
from strategyrun.domain.strategyrun import FailureClass
from strategyrun.domain.verdict import Fault, Lingering, Pending, Running, Success, Trouble, Unseen, Verdict, judge
from support.builders import (
    Document,
    after,
    failed_pod,
    job_body,
    last_words,
    make_job,
    make_pod,
    make_run,
    pod_body,
    report_document,
    report_text,
    running,
    scored_pod,
    terminated,
    unlocated,
    waiting,
)

NO_PROFILE = (
    "failed to create containerd container: cannot load seccomp profile "
    '"/var/lib/kubelet/seccomp/finlab-sandbox/0123456789ab.json": open /var/lib/kubelet/seccomp/finlab-sandbox/'
    "0123456789ab.json: no such file or directory"
)
NO_PYTHON = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
    'unable to start container process: exec: "python3": executable file not found in $PATH: unknown'
)
NO_ROOM = "0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available."
NODE_LOW_ON_DISK = (
    "The node was low on resource: ephemeral-storage. Threshold quantity: 15796315985, available: 15273408Ki. "
    "Container strategy was using 120Ki, request is 0, has larger consumption of ephemeral-storage. "
)
POD_DEADLINE = "Pod was active on the node longer than the specified deadline"
OUT = terminated(0, message=last_words("Completed", "", exitCode=0))


def starting(state: Any = None, **changes: Any) -> PodObservation:
    """Build a pod whose strategy has not begun."""
    return make_pod(strategy=state or waiting(), evaluate=waiting(), **changes)


def evaluating(state: Any, **changes: Any) -> PodObservation:
    """Build a pod whose strategy has ended well, with this state of the evaluator."""
    return make_pod(**{"phase": "Running", "strategy": OUT, "evaluate": state, **changes})


NOT_FAILED: dict[str, tuple[PodObservation | None, dict[str, str], Verdict]] = {
    "no-pod-yet": (None, {}, Pending(Reason.STARTING, "waiting for the pod")),
    "no-pod-yet-of-a-job-about-to-complete": (
        None,
        {"SuccessCriteriaMet": "CompletionsReached"},
        Pending(Reason.STARTING, "waiting for the pod"),
    ),
    "job-failed-and-the-pod-has-not-been-seen": (None, {"Failed": "BackoffLimitExceeded"}, Unseen()),
    "job-complete-and-the-pod-has-not-been-seen": (None, {"Complete": "CompletionsReached"}, Unseen()),
    "job-over-its-deadline-and-the-pod-has-not-been-seen": (None, {"FailureTarget": "DeadlineExceeded"}, Unseen()),
    "creating": (
        starting(waiting("ContainerCreating")),
        {},
        Pending(Reason.STARTING, "waiting for the pod to start"),
    ),
    "gated": (
        starting(node=None, scheduled={"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}),
        {},
        Pending(Reason.STARTING, "waiting for the pod to start"),
    ),
    "unschedulable": (
        starting(
            node=None,
            scheduled={"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": NO_ROOM},
        ),
        {},
        Pending(Reason.UNSCHEDULABLE, NO_ROOM),
    ),
    "seccomp-file-missing": (
        starting(waiting("CreateContainerError", NO_PROFILE)),
        {},
        Pending(Reason.SECCOMP_PROFILE_MISSING, NO_PROFILE),
    ),
    "image-would-run-as-root": (
        starting(waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root")),
        {},
        Pending(Reason.CONTAINER_CONFIG_ERROR, "container has runAsNonRoot and image will run as root"),
    ),
    "runtime-refuses": (
        starting(waiting("RunContainerError", NO_PYTHON)),
        {},
        Pending(Reason.IMAGE_INVALID, NO_PYTHON),
    ),
    "running": (starting(running()), {}, Running()),
    "running-while-the-pod-is-being-deleted": (starting(running(), deleted=after(5)), {}, Running()),
    "running-although-the-job-has-failed": (starting(running()), {"FailureTarget": "DeadlineExceeded"}, Running()),
    "evaluator-about-to-start": (evaluating(waiting()), {}, Running()),
    "evaluator-cannot-start-yet": (
        evaluating(waiting("CreateContainerError", "context deadline exceeded")),
        {},
        Running(),
    ),
    "evaluator-runs": (evaluating(running()), {}, Running()),
    "a-child-was-killed-for-memory-yet-the-strategy-went-on": (
        make_pod(phase="Running", strategy=terminated(0, "OOMKilled"), evaluate=running()),
        {},
        Running(),
    ),
}


@pytest.mark.parametrize(("pod", "conditions", "verdict"), NOT_FAILED.values(), ids=NOT_FAILED.keys())
def test_an_attempt_that_goes_on(pod: PodObservation | None, conditions: dict[str, str], verdict: Verdict) -> None:
    """Waiting says what it waits for; nothing is final that may still come right."""
    assert judge(make_job(conditions=conditions), pod) == verdict


OVERRUN = make_job(conditions={"FailureTarget": "DeadlineExceeded", "Failed": "DeadlineExceeded"})


@pytest.mark.parametrize(
    ("pod", "began", "reason"),
    [
        (None, False, Reason.START_TIMEOUT),
        (None, True, Reason.TIMEOUT),
        (failed_pod(exit_code=137, deleted=after(5)), False, Reason.TIMEOUT),
        (starting(deleted=after(5)), False, Reason.START_TIMEOUT),
        (starting(deleted=after(5)), True, Reason.TIMEOUT),
    ],
    ids=["gone", "gone-after-it-began", "killed", "never-began", "seen-before-it-began"],
)
def test_the_jobs_deadline_ends_the_start_or_the_strategy(
    pod: PodObservation | None, began: bool, reason: Reason
) -> None:
    """Its controller deletes the pod: what the strategy had got to is known from before."""
    fault = judge(OVERRUN, pod, podless=True, began=began)
    assert isinstance(fault, Fault)
    assert (fault.reason, fault.message) == (reason, "Job was active longer than specified deadline")


@pytest.mark.parametrize(
    "job", [make_job(conditions={"FailureTarget": "DeadlineExceeded"}), OVERRUN], ids=["to-fail", "failed"]
)
@pytest.mark.parametrize(
    ("pod", "reason"),
    [
        (starting(running(), deleted=after(600)), Reason.TIMEOUT),
        (evaluating(running(), deleted=after(600)), Reason.EVALUATOR_FAILED),
        (evaluating(waiting(), deleted=after(600)), Reason.EVALUATOR_FAILED),
    ],
    ids=["strategy", "evaluator", "evaluator-about-to-start"],
)
def test_a_pod_that_goes_on_after_the_jobs_deadline(job: JobObservation, pod: PodObservation, reason: Reason) -> None:
    """Its node may be about to end it. If not, the step at work says whose fault that is."""
    assert judge(job, pod) == Lingering(after(602), reason)


@pytest.mark.parametrize(
    ("pod", "reason"),
    [
        (failed_pod(message=last_words("Timeout"), phase="Running", deleted=after(600)), Reason.TIMEOUT),
        (failed_pod(message=last_words(), phase="Running", deleted=after(600)), Reason.STRATEGY_ERROR),
        (starting(running(), deleted=after(600), disruption="DeletionByTaintManager"), Reason.NODE_LOST),
    ],
    ids=["harness-out-of-time", "strategy-failed-before", "node-lost"],
)
def test_what_is_known_of_a_pod_that_goes_on_counts_at_once(pod: PodObservation, reason: Reason) -> None:
    """What its harness said, or why it was taken away, does not wait for the node to end the rest of it."""
    fault = judge(make_job(conditions={"FailureTarget": "DeadlineExceeded"}), pod)
    assert isinstance(fault, Fault)
    assert fault.reason is reason


SUSPENDED = make_job().model_copy(update={"suspended": True})
HELD = Pending(
    Reason.WAITING_FOR_SLOT,
    "the Job is suspended until Kueue, or whoever suspended it, lets it go; it takes no slot",
)


@pytest.mark.parametrize(
    "pod",
    [
        None,
        starting(running()),
        starting(running(), deleted=after(5)),
        failed_pod(exit_code=137, deleted=after(5)),
        evaluating(terminated(137), deleted=after(5)),
    ],
    ids=["gone", "about-to-go", "going", "killed", "killed-while-it-was-scored"],
)
def test_what_is_preempted_by_its_queue_waits(pod: PodObservation | None) -> None:
    """Kueue takes a run's place by suspending its Job, which deletes the pod: nothing has vanished."""
    assert judge(SUSPENDED, pod) == HELD


def test_what_had_ended_before_its_job_was_suspended_has_its_answer() -> None:
    """Scored or failed: a second evaluation would tell nothing else."""
    assert isinstance(judge(SUSPENDED, scored_pod(deleted=after(25))), Success)
    failed = judge(SUSPENDED, failed_pod(message=last_words(), deleted=after(25)))
    assert isinstance(failed, Fault)
    assert failed.reason is Reason.STRATEGY_ERROR


@pytest.mark.parametrize(
    "reason",
    [
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    ],
)
def test_an_image_that_cannot_be_had_is_named_while_the_run_waits(reason: str) -> None:
    """In the kubelet's own words."""
    verdict = judge(make_job(), starting(waiting(reason, 'Back-off pulling image "x"')))
    assert verdict == Pending(Reason.IMAGE_PULL_FAILED, f'{reason}: Back-off pulling image "x"')


FAILED: dict[str, tuple[PodObservation, Reason]] = {
    # The strategy's own container says why.
    **{
        f"harness-says-{reason}": (failed_pod(message=last_words(reason)), Reason(reason))
        for reason in sorted(SAID_BY_HARNESS)
    },
    "other-inputs": (failed_pod(message=last_words("Tampered"), exit_code=2), Reason.TAMPERED),
    "other-inputs-feigned": (failed_pod(message=last_words("Tampered")), Reason.STRATEGY_ERROR),
    "harness-cannot-work": (failed_pod(message=last_words("ImageInvalid"), exit_code=2), Reason.IMAGE_INVALID),
    # It says nothing, or nothing that counts.
    "exit-code-without-a-word": (failed_pod(exit_code=3), Reason.STRATEGY_ERROR),
    "log-lines-for-a-word": (failed_pod(message="Traceback\nKeyError: 'x'"), Reason.STRATEGY_ERROR),
    "oom-killed": (make_pod(phase="Failed", strategy=terminated(137, "OOMKilled")), Reason.OUT_OF_MEMORY),
    "oom-killed-but-not-said-so-yet": (failed_pod(exit_code=137), Reason.OUT_OF_MEMORY),
    "a-child-oom-killed-and-the-strategy-raised": (
        make_pod(phase="Failed", strategy=terminated(1, "OOMKilled", last_words("StrategyError"))),
        Reason.OUT_OF_MEMORY,
    ),
    "a-child-oom-killed-but-out-of-time": (
        make_pod(phase="Failed", strategy=terminated(1, "OOMKilled", last_words("Timeout"))),
        Reason.TIMEOUT,
    ),
    "segmentation-fault": (failed_pod(exit_code=139), Reason.CRASHED),
    "seccomp-kills": (failed_pod(exit_code=159), Reason.SYSCALL_VIOLATION),
    "kubelet-ends-it-at-the-deadline": (
        failed_pod(message=last_words("Crashed", "told to stop"), reason="DeadlineExceeded"),
        Reason.TIMEOUT,
    ),
    "evicted-for-its-own-files": (
        make_pod(
            phase="Failed",
            reason="Evicted",
            message='Usage of EmptyDir volume "tmp" exceeds the limit "1Gi". ',
            strategy=terminated(137),
        ),
        Reason.DISK_LIMIT,
    ),
    "evicted-for-its-own-layer": (
        make_pod(
            phase="Failed",
            reason="Evicted",
            message='Container strategy exceeded its local ephemeral storage limit "1Gi". ',
            strategy=unlocated(),
        ),
        Reason.DISK_LIMIT,
    ),
    "evicted-for-all-its-layers": (
        make_pod(
            phase="Failed",
            reason="Evicted",
            message="Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ",
        ),
        Reason.DISK_LIMIT,
    ),
    # The evaluator rejects what the strategy left.
    **{
        f"evaluator-says-{reason}": (
            scored_pod(report=report_text(verdict="Rejected", reason=reason, metrics={}, message="why")),
            Reason(reason),
        )
        for reason in ("ResultMissing", "ResultInvalid", "ResultTooLarge")
    },
    "nothing-left-after-a-child-was-killed-for-memory": (
        scored_pod(
            report=report_text(verdict="Rejected", reason="ResultMissing", metrics={}),
            strategy=terminated(0, "OOMKilled"),
        ),
        Reason.OUT_OF_MEMORY,
    ),
    # The sandbox could not be built.
    "start-error": (
        make_pod(phase="Failed", strategy=terminated(128, "StartError", NO_PYTHON)),
        Reason.IMAGE_INVALID,
    ),
    "start-error-of-another-kind": (
        make_pod(phase="Failed", strategy=terminated(128, "ContainerCannotRun", "cgroup: out of luck")),
        Reason.CONTAINER_CONFIG_ERROR,
    ),
    "profile-gone-when-the-evaluator-starts": (
        evaluating(terminated(128, "StartError", NO_PROFILE)),
        Reason.SECCOMP_PROFILE_MISSING,
    ),
    "deadline-before-the-first-container": (
        make_pod(phase="Failed", reason="DeadlineExceeded", message=POD_DEADLINE, strategy=waiting()),
        Reason.START_TIMEOUT,
    ),
    "deadline-of-a-container-that-never-was": (
        make_pod(phase="Failed", reason="DeadlineExceeded", message=POD_DEADLINE, strategy=unlocated()),
        Reason.START_TIMEOUT,
    ),
    # The report is not the one that was asked for.
    "no-json": (scored_pod(report="scored!"), Reason.TAMPERED),
    "another-nonce": (scored_pod(report=report_text(nonce="0" * 32)), Reason.TAMPERED),
    "another-schema": (scored_pod(report=report_text(schema=3)), Reason.TAMPERED),
    **{
        f"another-{name}": (
            scored_pod(report=report_text(hashes=report_document()["hashes"] | {name: "0" * 64})),
            Reason.TAMPERED,
        )
        for name in ("code", "input", "evaluation")
    },
    # The platform.
    "drained": (
        failed_pod(exit_code=137, disruption="EvictionByEvictionAPI", deleted=after(10)),
        Reason.EVICTED,
    ),
    "preempted-before-it-ran": (
        starting(disruption="PreemptionByScheduler", deleted=after(10)),
        Reason.EVICTED,
    ),
    "preempted-by-the-kubelet": (
        failed_pod(exit_code=137, reason="Preempting", disruption="TerminationByKubelet"),
        Reason.EVICTED,
    ),
    "told-to-stop-by-a-drain": (
        failed_pod(
            message=last_words("Crashed", "the run was told to stop (SIGTERM)"),
            disruption="EvictionByEvictionAPI",
            disrupted=after(18),
            deleted=after(18),
        ),
        Reason.EVICTED,
    ),
    "told-to-stop-by-a-drain-on-a-node-whose-clock-is-behind": (
        failed_pod(
            message=last_words("Crashed", "the run was told to stop (SIGTERM)"),
            exit_code=143,
            disruption="EvictionByEvictionAPI",
            disrupted=after(22),
            deleted=after(22),
        ),
        Reason.EVICTED,
    ),
    "deleted-on-a-node-whose-clock-is-behind": (failed_pod(exit_code=143, deleted=after(22)), Reason.JOB_VANISHED),
    "node-low-on-disk": (
        make_pod(
            phase="Failed",
            reason="Evicted",
            message=NODE_LOW_ON_DISK,
            disruption="TerminationByKubelet",
            strategy=unlocated(),
        ),
        Reason.EVICTED,
    ),
    "node-under-pressure-refuses-the-pod": (
        make_pod(
            phase="Failed", reason="Evicted", message="Pod was rejected: The node had condition: [DiskPressure]. "
        ),
        Reason.EVICTED,
    ),
    "drained-while-evaluated": (
        evaluating(terminated(137), phase="Failed", disruption="EvictionByEvictionAPI"),
        Reason.EVICTED,
    ),
    "node-lost": (starting(running(), disruption="DeletionByTaintManager"), Reason.NODE_LOST),
    "node-collected": (
        make_pod(phase="Failed", disruption="DeletionByPodGC", strategy=running()),
        Reason.NODE_LOST,
    ),
    "node-shut-down": (
        failed_pod(exit_code=137, reason="Terminated", disruption="TerminationByKubelet"),
        Reason.NODE_LOST,
    ),
    "node-lost-by-name": (failed_pod(exit_code=137, reason="NodeLost"), Reason.NODE_LOST),
    "strategy-unlocated": (make_pod(phase="Failed", strategy=unlocated(), evaluate=waiting()), Reason.NODE_LOST),
    "evaluator-unlocated": (evaluating(unlocated(), phase="Failed"), Reason.NODE_LOST),
    "failed-without-a-word": (make_pod(phase="Failed", strategy=waiting()), Reason.NODE_LOST),
    "no-cpu-on-the-node-after-all": (
        make_pod(phase="Failed", reason="OutOfcpu", message="Node didn't have enough resource: cpu"),
        Reason.UNSCHEDULABLE,
    ),
    "node-affinity": (
        make_pod(phase="Failed", reason="NodeAffinity", message="Predicate NodeAffinity failed"),
        Reason.UNSCHEDULABLE,
    ),
    "admission-of-the-kubelet": (
        make_pod(phase="Failed", reason="UnexpectedAdmissionError", message="Allocate failed"),
        Reason.UNSCHEDULABLE,
    ),
    "pod-deleted-before-it-ran": (starting(deleted=after(1)), Reason.JOB_VANISHED),
    "pod-deleted-while-it-ran": (
        failed_pod(message=last_words("Crashed"), deleted=after(15)),
        Reason.JOB_VANISHED,
    ),
    "pod-deleted-again-when-it-was-dead": (
        make_pod(phase="Failed", strategy=terminated(137, "Error", finished=after(11)), deleted=after(12), grace=0),
        Reason.JOB_VANISHED,
    ),
    "pod-deleted-and-unlocated": (
        make_pod(phase="Failed", strategy=unlocated(), deleted=after(15)),
        Reason.JOB_VANISHED,
    ),
    "pod-deleted-while-evaluated": (
        evaluating(terminated(137), phase="Failed", deleted=after(15)),
        Reason.JOB_VANISHED,
    ),
    "evaluator-crashed": (evaluating(terminated(1, message="Traceback ...")), Reason.EVALUATOR_FAILED),
    "evaluator-out-of-memory": (evaluating(terminated(137, "OOMKilled")), Reason.EVALUATOR_FAILED),
    "evaluator-silent": (evaluating(terminated(0)), Reason.EVALUATOR_FAILED),
    "evaluator-never-started": (
        evaluating(
            waiting("CreateContainerError", "context deadline exceeded"),
            phase="Failed",
            reason="DeadlineExceeded",
            message=POD_DEADLINE,
        ),
        Reason.EVALUATOR_FAILED,
    ),
    "evaluator-over-the-deadline": (
        evaluating(terminated(137), phase="Failed", reason="DeadlineExceeded", message=POD_DEADLINE),
        Reason.EVALUATOR_FAILED,
    ),
    "evaluator-never-located-at-the-deadline": (
        evaluating(unlocated(), phase="Failed", reason="DeadlineExceeded", message=POD_DEADLINE),
        Reason.EVALUATOR_FAILED,
    ),
}


@pytest.mark.parametrize(("pod", "reason"), FAILED.values(), ids=FAILED.keys())
def test_an_attempt_that_failed(pod: PodObservation, reason: Reason) -> None:
    """Each document of the API server leads to one reason, with a message for people."""
    verdict = judge(make_job(), pod)
    assert isinstance(verdict, Fault)
    assert verdict.reason is reason
    assert verdict.message


LOADED = terminated(message='{"schema":1,"reason":"Loaded","message":"","seconds":1.2}')
OWN_DATASET = job_body(make_run(datasets=[{"name": "prices", "configMapRef": {"name": "prices"}}]))


def loader_failed(reason: str, message: str = "prices.csv line 3, column close: no number", **more: Any) -> Document:
    """The state of a loader that says why the dataset cannot be read."""
    return terminated(1, message=json.dumps({"schema": 1, "reason": reason, "message": message} | more))


def loading(dataset: Document, **changes: Any) -> PodObservation:
    """A pod whose dataset is read before its strategy starts."""
    return make_pod(OWN_DATASET, **{"dataset": dataset, "strategy": waiting(), "evaluate": waiting(), **changes})


UNREADABLE = {
    "invalid": (loading(loader_failed("DataInvalid"), phase="Failed"), Reason.DATA_INVALID),
    "missing": (loading(loader_failed("DataMissing", "no file"), phase="Failed"), Reason.DATA_MISSING),
    "before-the-phase-follows": (loading(loader_failed("DataInvalid")), Reason.DATA_INVALID),
    "too-large-for-memory": (loading(terminated(137, "OOMKilled"), phase="Failed"), Reason.DATA_INVALID),
    "loader-crashed": (loading(terminated(1, message="Traceback ..."), phase="Failed"), Reason.LOADER_FAILED),
    "loader-lies": (loading(loader_failed("Loaded"), phase="Failed"), Reason.LOADER_FAILED),
    "evicted": (
        loading(loader_failed("DataInvalid"), phase="Failed", reason="Evicted", message=NODE_LOW_ON_DISK),
        Reason.EVICTED,
    ),
    "drained-on-a-node-whose-clock-is-behind": (
        loading(
            terminated(143),
            phase="Failed",
            disruption="EvictionByEvictionAPI",
            disrupted=after(22),
            deleted=after(22),
        ),
        Reason.EVICTED,
    ),
    "deleted-meanwhile": (loading(terminated(137), phase="Failed", deleted=after(3)), Reason.JOB_VANISHED),
    "over-the-deadline": (loading(terminated(137), phase="Failed", reason="DeadlineExceeded"), Reason.START_TIMEOUT),
    "node-lost": (loading(unlocated(), phase="Failed"), Reason.NODE_LOST),
}


@pytest.mark.parametrize(("pod", "reason"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_dataset_that_cannot_be_read(pod: PodObservation, reason: Reason) -> None:
    """The loader's word counts, for no line of the strategy has run; what befell its pod counts before it."""
    verdict = judge(make_job(), pod)
    assert isinstance(verdict, Fault)
    assert verdict.reason is reason
    assert verdict.message


WAITING_FOR_DATA = {
    "reading": (loading(running()), Reason.STARTING, "the dataset is being read"),
    "read": (loading(LOADED), Reason.STARTING, "waiting for the pod to start"),
    "no-claim": (
        loading(
            waiting(),
            node=None,
            scheduled={
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": '0/1 nodes are available: persistentvolumeclaim "prices" not found.',
            },
        ),
        Reason.DATA_MISSING,
        'persistentvolumeclaim "prices" not found',
    ),
    "no-sandbox-image": (
        loading(waiting("ErrImagePull", "finlab-sandbox:test: not found")),
        Reason.IMAGE_PULL_FAILED,
        "finlab-sandbox:test",
    ),
    "no-image-of-data": (
        make_pod(
            job_body(make_run(datasets=[{"name": "prices", "image": {"reference": "example.com/prices:1"}}])),
            dataset=waiting("ImagePullBackOff", 'Back-off pulling image "example.com/prices:1"'),
        ),
        Reason.DATA_MISSING,
        "example.com/prices:1",
    ),
}


@pytest.mark.parametrize(("pod", "reason", "message"), WAITING_FOR_DATA.values(), ids=WAITING_FOR_DATA.keys())
def test_what_a_dataset_is_waited_for(pod: PodObservation, reason: Reason, message: str) -> None:
    """Whether the data or the sandbox is missing is told apart while the run still waits."""
    verdict = judge(make_job(), pod)
    assert isinstance(verdict, Pending)
    assert verdict.reason is reason
    assert message in verdict.message


def test_a_script_that_hands_over_nothing_is_a_success_with_its_own_words() -> None:
    """The evaluator had nothing to score; what the script says of itself stands beside the report."""
    report = report_text(verdict="Unscored", reason="Unscored", metrics={})
    words = last_words("Completed", exitCode=0, result={"sharpe": 99.0})
    verdict = judge(make_job(), scored_pod(report=report, strategy=terminated(message=words)))
    assert isinstance(verdict, Success)
    assert verdict.words
    assert verdict.words.result == {"sharpe": 99.0}


WITHOUT_A_POD = {
    "job-failed": ({"Failed": "BackoffLimitExceeded"}, Reason.JOB_VANISHED),
    "job-complete": ({"Complete": "CompletionsReached"}, Reason.JOB_VANISHED),
    "job-over-its-deadline": ({"FailureTarget": "DeadlineExceeded"}, Reason.START_TIMEOUT),
}


@pytest.mark.parametrize(("conditions", "reason"), WITHOUT_A_POD.values(), ids=WITHOUT_A_POD.keys())
def test_a_job_that_ended_without_a_pod(conditions: dict[str, str], reason: Reason) -> None:
    """It is judged once a direct read has found no pod, and not before."""
    job = make_job(conditions=conditions)
    assert judge(job, None) == Unseen()
    verdict = judge(job, None, podless=True)
    assert isinstance(verdict, Fault)
    assert verdict.reason is reason


def test_the_jobs_deadline_explains_a_pod_that_it_deletes() -> None:
    """A pod that is deleted because the Job's time is over did not vanish."""
    job = make_job(conditions={"FailureTarget": "DeadlineExceeded"})
    verdict = judge(job, starting(waiting("ContainerCreating"), deleted=after(330)))
    assert verdict == Fault(Reason.START_TIMEOUT, "Job was active longer than specified deadline")


ELSEWHERE = {
    Reason.SPEC_INVALID: "test_reconcile.py",
    Reason.SOURCE_MISSING: "test_reconcile.py",
    Reason.CODE_REJECTED: "test_reconcile.py",
    Reason.NAME_CONFLICT: "test_reconcile.py",
    Reason.IMAGE_PULL_FAILED: "test_reconcile.py",
    Reason.LOOK_AHEAD_DETECTED: "test_reconcile.py",
    Reason.PROFILE_DENIED: "test_reconcile.py",
    Reason.PROFILE_MISSING: "test_reconcile.py",
}
"""Reasons that end a run by a decision of reconcile and not by what a pod shows."""


def test_every_reason_is_reached() -> None:
    """No row of the taxonomy is without a document of the cluster that leads to it."""
    tables: tuple[dict[str, Any], ...] = (FAILED, UNREADABLE, WITHOUT_A_POD)
    reached = {reason for table in tables for _, reason in table.values()}
    reached |= {reason for _, _, reason in TROUBLES.values()} | {Reason.MOUNT_FAILED, Reason.POD_SANDBOX_FAILED}
    assert reached | ELSEWHERE.keys() == FAILURES.keys()
    assert not reached & ELSEWHERE.keys()


def test_success_is_the_report_that_was_asked_for() -> None:
    """Nonce and hashes are those that the Job has carried since it was created."""
    pod = scored_pod()
    verdict = judge(make_job(), pod)
    assert isinstance(verdict, Success)
    assert verdict.pod is pod
    assert verdict.report.metrics.sharpe == 0.913


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"phase": "Running"}, id="phase-lags"),
        pytest.param({"disruption": "EvictionByEvictionAPI", "deleted": after(5)}, id="drained-meanwhile"),
        pytest.param({"phase": "Failed", "reason": "NodeLost"}, id="node-lost-afterwards"),
        pytest.param({"reason": "DeadlineExceeded"}, id="deadline-afterwards"),
        pytest.param({"deleted": after(30)}, id="deleted-afterwards"),
        pytest.param({"strategy": terminated(0, "OOMKilled")}, id="a-child-was-killed-for-memory"),
    ],
)
@pytest.mark.parametrize(
    "conditions",
    [
        pytest.param({}, id="job-active"),
        pytest.param({"Failed": "BackoffLimitExceeded"}, id="job-failed"),
        pytest.param({"FailureTarget": "DeadlineExceeded"}, id="job-over-its-deadline"),
    ],
)
def test_evidence_of_success_outranks_every_sign_of_failure(changes: Any, conditions: dict[str, str]) -> None:
    """An answer that was reached is not thrown away."""
    assert isinstance(judge(make_job(conditions=conditions), scored_pod(**changes)), Success)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"disruption": "EvictionByEvictionAPI", "disrupted": after(25)}, id="drained-later"),
        pytest.param({"disruption": "DeletionByPodGC", "disrupted": after(600)}, id="node-gone-later"),
        pytest.param({"deleted": after(25)}, id="deleted-later"),
        pytest.param(
            {"disruption": "DeletionByTaintManager", "disrupted": after(21), "deleted": after(21)}, id="tainted"
        ),
    ],
)
@pytest.mark.parametrize(
    ("message", "exit_code", "reason"),
    [
        pytest.param(last_words("StrategyError"), 1, Reason.STRATEGY_ERROR, id="raised"),
        pytest.param(last_words("Crashed", signal="SIGSEGV"), 1, Reason.CRASHED, id="crashed"),
        pytest.param("", 137, Reason.OUT_OF_MEMORY, id="killed"),
    ],
)
def test_what_is_done_to_a_pod_afterwards_excuses_no_failure(
    changes: Any, message: str, exit_code: int, reason: Reason
) -> None:
    """A strategy that had failed before its pod was taken away is not run again."""
    verdict = judge(make_job(), failed_pod(message=message, exit_code=exit_code, **changes))
    assert isinstance(verdict, Fault)
    assert verdict.reason is reason


@pytest.mark.parametrize("disruption", ["EvictionByEvictionAPI", "DeletionByTaintManager", "PreemptionByScheduler"])
def test_what_is_done_to_a_pod_excuses_what_follows(disruption: str) -> None:
    """A strategy that was killed with its pod is not to blame, whatever its last words are."""
    pod = failed_pod(message=last_words("StrategyError"), disruption=disruption, disrupted=after(20), deleted=after(20))
    verdict = judge(make_job(), pod)
    assert isinstance(verdict, Fault)
    assert FAILURES[verdict.reason].class_ is FailureClass.PLATFORM


@pytest.mark.parametrize(
    "feigned",
    [
        "Evicted",
        "NodeLost",
        "Tampered",
        "CodeRejected",
        "ImageInvalid",
        "Evaluated",
        "SeccompProfileMissing",
        "Nonsense",
    ],
)
def test_a_strategy_cannot_feign_a_failure_of_others(feigned: str) -> None:
    """It would be retried at the cluster's cost, or send an administrator on an errand."""
    verdict = judge(make_job(), failed_pod(message=last_words(feigned, exitCode=7)))
    assert isinstance(verdict, Fault)
    assert verdict.reason is Reason.STRATEGY_ERROR


def test_a_strategy_cannot_feign_success() -> None:
    """A report in the strategy's own termination message is no report."""
    verdict = judge(make_job(), failed_pod(message=report_text(), exit_code=1))
    assert isinstance(verdict, Fault)
    assert verdict.reason is Reason.STRATEGY_ERROR
    assert judge(make_job(), make_pod(phase="Running", strategy=terminated(0, message=report_text()))) == Running()


def test_a_job_without_a_nonce_proves_nothing() -> None:
    """An empty word is guessed easily."""
    job = job_body(nonce="")
    verdict = judge(make_job(nonce=""), scored_pod(job, report_text(job)))
    assert isinstance(verdict, Fault)
    assert verdict.message == "the report's nonce is not the one that was pinned"


def test_a_failure_tells_exit_code_signal_and_last_lines() -> None:
    """From the harness where it says them: its own container always ends with 1."""
    words = last_words("Crashed", "killed by SIGSEGV", exitCode=None, signal="SIGSEGV", lastLines=["one", "two"])
    assert judge(make_job(), failed_pod(message=words)) == Fault(
        Reason.CRASHED, "killed by SIGSEGV", None, "SIGSEGV", ("one", "two")
    )
    exited = last_words("StrategyError", "sys.exit(3)", exitCode=3, lastLines=[])
    assert judge(make_job(), failed_pod(message=exited)) == Fault(Reason.STRATEGY_ERROR, "sys.exit(3)", 3, None, ())


@pytest.mark.parametrize(
    ("exit_code", "signal"),
    [
        pytest.param(1, None, id="error"),
        pytest.param(134, "SIGABRT", id="abort"),
        pytest.param(137, "SIGKILL", id="kill"),
        pytest.param(139, "SIGSEGV", id="segmentation-fault"),
        pytest.param(159, "SIGSYS", id="seccomp"),
        pytest.param(192, "signal 64", id="a-signal-without-a-name"),
    ],
)
def test_without_words_the_exit_code_tells_the_signal(exit_code: int, signal: str | None) -> None:
    """And the log's last lines are what the container printed."""
    verdict = judge(make_job(), failed_pod(message="round\nand round\n", exit_code=exit_code))
    assert isinstance(verdict, Fault)
    assert (verdict.exit_code, verdict.signal, verdict.last_lines) == (exit_code, signal, ("round", "and round"))


def test_a_rejected_result_comes_with_what_the_strategy_printed() -> None:
    """Somebody who returned nonsense sees the lines before it."""
    pod = scored_pod(report=report_text(verdict="Rejected", reason="ResultInvalid", metrics={}, message="nonsense"))
    verdict = judge(make_job(), pod)
    assert verdict == Fault(
        Reason.RESULT_INVALID,
        "nonsense",
        0,
        None,
        ("Traceback (most recent call last):", "KeyError: 'Close'"),
    )


TROUBLES = {
    "quota": ("FailedCreate", 'pods "a" is forbidden: exceeded quota: few, used: pods=1', Reason.QUOTA_EXCEEDED),
    "runtime-class": (
        "FailedCreate",
        'pods "a" is forbidden: pod rejected: RuntimeClass "gvisor" not found',
        Reason.RUNTIME_CLASS_MISSING,
    ),
    "no-image-volumes": (
        "FailedCreate",
        'Pod "a" is invalid: spec.volumes[6]: Required value: must specify a volume type',
        Reason.DATA_MISSING,
    ),
    "admission": ("FailedCreate", 'pods "a" is forbidden: violates PodSecurity "restricted"', Reason.POLICY_DENIED),
}


@pytest.mark.parametrize(("event", "message", "reason"), TROUBLES.values(), ids=TROUBLES)
def test_the_jobs_events_say_why_there_is_no_pod(event: str, message: str, reason: Reason) -> None:
    """The Job itself says nothing; what is said of another Job does not count."""
    job = make_job()
    assert judge(job, None, trouble=Trouble(job.uid, after(6), event, message)) == Pending(reason, message)
    assert judge(job, None, trouble=Trouble("other", after(6), event, message)) == NOT_FAILED["no-pod-yet"][2]


NO_RUNTIME = 'failed to get sandbox runtime: no runtime for "gvisor" is configured'


@pytest.mark.parametrize(
    ("event", "message", "reason"),
    [
        pytest.param("FailedMount", 'configmap "gone" not found', Reason.MOUNT_FAILED, id="mount"),
        pytest.param("FailedCreatePodSandBox", NO_RUNTIME, Reason.RUNTIME_CLASS_MISSING, id="runtime"),
        pytest.param("FailedCreatePodSandBox", "no space left", Reason.POD_SANDBOX_FAILED, id="sandbox"),
        pytest.param("Unhealthy", "who knows", Reason.STARTING, id="another-event"),
    ],
)
def test_the_pods_events_say_why_it_does_not_start(event: str, message: str, reason: Reason) -> None:
    """Where its containers only wait."""
    pod = starting()
    verdict = judge(make_job(), pod, trouble=Trouble(pod.uid, after(6), event, message))
    assert isinstance(verdict, Pending)
    assert verdict.reason is reason


def test_what_an_event_told_is_over_when_the_pod_has_what_it_needs() -> None:
    """A mount that failed once, before an image that takes long to pull, is not what the pod waits for."""
    body = pod_body(strategy=waiting())
    body["status"]["conditions"].append({"type": "PodReadyToStartContainers", "status": "True"})
    pod = observe_pod(body)
    verdict = judge(make_job(), pod, trouble=Trouble(pod.uid, after(6), "FailedMount", "timed out"))
    assert isinstance(verdict, Pending)
    assert verdict.reason is Reason.STARTING


def test_a_container_that_could_not_be_started_has_no_beginning() -> None:
    """The kubelet writes the year 1970 there, and a strategy that began has no way to the fallback."""
    never = {"terminated": {"exitCode": 128, "reason": "StartError", "startedAt": "1970-01-01T00:00:00Z"}}
    assert make_pod(strategy=never).strategy.started_at is None
