"""From what a Job and its pod show to what became of the attempt."""

import re
from dataclasses import dataclass
from datetime import datetime

from strategyrun.domain.observation import ContainerState, JobObservation, PodObservation
from strategyrun.domain.outcomes import SAID_BY_HARNESS, Reason
from strategyrun.domain.report import (
    InvalidReportError,
    LastWords,
    Report,
    parse_last_words,
    parse_loader_words,
    parse_report,
)
from strategyrun.domain.text import last_lines
from strategyrun.domain.vetting import Flaw


@dataclass(frozen=True)
class Pending:
    """The strategy has not started; `reason` says what it waits for."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class Running:
    """The strategy or its evaluation runs."""


@dataclass(frozen=True)
class Lingering:
    """The Job's time is over, and its pod goes on: a node that is well has ended it by `gone_by`."""

    gone_by: datetime
    reason: Reason
    """What the attempt ends with if the node does not end the pod; which step was at work decides."""


@dataclass(frozen=True)
class Unseen:
    """The Job has ended, and the pod that could say how has not been seen."""


@dataclass(frozen=True)
class Success:
    """The evaluator's report is the one that was asked for: positions are scored, or there was nothing to score."""

    report: Report
    pod: PodObservation
    words: LastWords | None = None
    """What the strategy's container says of itself."""


@dataclass(frozen=True)
class Fault:
    """The attempt failed. Texts are as the pod wrote them: the status cleans them."""

    reason: Reason
    message: str
    exit_code: int | None = None
    signal: str | None = None
    last_lines: tuple[str, ...] = ()
    flaws: tuple[Flaw, ...] = ()


@dataclass(frozen=True)
class Trouble:
    """What the cluster's events say of a Job or pod that does not start."""

    uid: str
    """Of the Job or pod."""
    at: datetime
    """When the events were read."""
    reason: str = ""
    message: str = ""


Verdict = Pending | Running | Lingering | Unseen | Success | Fault

_HELD = Pending(
    Reason.WAITING_FOR_SLOT,
    "the Job is suspended until Kueue, or whoever suspended it, lets it go; it takes no slot",
)
_DEADLINE = "DeadlineExceeded"
_OUT_OF_MEMORY = "OOMKilled"
_IMAGE_TROUBLE = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_RUNTIME_TROUBLE = frozenset(
    {
        "CreateContainerError",
        "CreateContainerConfigError",
        "RunContainerError",
        "StartError",
        "ContainerCannotRun",
    }
)
_NODE_TROUBLE = frozenset({"NodeLost", "NodeShutdown", "Terminated", "DeletionByTaintManager", "DeletionByPodGC"})
_OWN_LIMIT_EXCEEDED = re.compile(r"exceed(s|ed) (the|its) .*limit")
"""An eviction for what the pod itself wrote. One for a node that runs low says: The node was low on ..."""

_TROUBLES = {
    "FailedMount": Reason.MOUNT_FAILED,
    "FailedAttachVolume": Reason.MOUNT_FAILED,
    "FailedCreatePodSandBox": Reason.POD_SANDBOX_FAILED,
}
_RUNTIME_MISSING = re.compile(r"no runtime for .* is configured|RuntimeHandler .* not supported")
_POLICY = re.compile(r"(admission|calling) webhook|ValidatingAdmissionPolicy|jsonpatch|operation does not apply")
"""Of a webhook whose patch does not fit the object the API server tells no name."""
_CLAIM_MISSING = re.compile(r'persistentvolumeclaim "[^"]*" not found')

_SIGNALS = {4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM"}
_SIGKILL, _SIGTERM, _SIGSYS = 9, 15, 31


def judge(
    job: JobObservation,
    pod: PodObservation | None,
    *,
    podless: bool = False,
    began: bool = False,
    trouble: Trouble | None = None,
) -> Verdict:
    """Tell what became of an attempt.

    Evidence of success outranks every sign of failure; a strategy that failed by itself is not
    excused by what was done to its pod afterwards. A suspended Job has lost its pod on purpose: it gets
    another when it goes on. `podless` says that a direct read found no pod, `began` that the strategy is
    known to have begun;
    `trouble` is what events say of the Job or the pod.
    """
    if pod is None:
        return _without_pod(job, podless, began, trouble if trouble and trouble.uid == job.uid else None)
    if pod.evaluate.terminated and not (job.suspended and pod.evaluate.failed):
        return _evaluated(job, pod)
    if not _failed_by_itself(pod):
        if job.suspended:
            return _HELD
        if loss := _loss(pod):
            return loss
        if job.failure == _DEADLINE and pod.strategy.failed and pod.strategy.started_at:
            return Fault(Reason.TIMEOUT, job.failure_message, pod.strategy.exit_code)
    if pod.unloadable:
        return _loader_failed(pod)
    if pod.strategy.failed:
        return _strategy_failed(pod)
    if pod.phase == "Failed":
        return _failed_without_a_word(pod)
    if pod.strategy.terminated or pod.strategy.running:
        return _going_on(job, pod)
    if job.failure == _DEADLINE:
        return Fault(Reason.TIMEOUT if began else Reason.START_TIMEOUT, job.failure_message)
    if pod.deleting:
        return Fault(Reason.JOB_VANISHED, f"pod {pod.name} was deleted before it ran")
    return _starting(pod, trouble if trouble and trouble.uid == pod.uid and not pod.mounted else None)


def _without_pod(job: JobObservation, podless: bool, began: bool, trouble: Trouble | None) -> Verdict:
    if job.suspended:
        return _HELD
    if not job.ended:
        if trouble and trouble.reason == "FailedCreate":
            return Pending(refusal_reason(trouble.message), trouble.message)
        return Pending(Reason.STARTING, "waiting for the pod")
    if not podless:
        return Unseen()
    if job.failure == _DEADLINE:
        return Fault(Reason.TIMEOUT if began else Reason.START_TIMEOUT, job.failure_message)
    return Fault(Reason.JOB_VANISHED, f"the pod of Job {job.name} is gone: {job.failure_message or 'it was deleted'}")


def _going_on(job: JobObservation, pod: PodObservation) -> Running | Lingering:
    if job.failure == _DEADLINE and pod.gone_by:
        return Lingering(pod.gone_by, Reason.TIMEOUT if pod.strategy.running else Reason.EVALUATOR_FAILED)
    return Running()


def _evaluated(job: JobObservation, pod: PodObservation) -> Verdict:
    end = pod.evaluate
    if end.exit_code == 0 and end.message:
        return _reported(job, pod)
    if loss := _loss(pod):
        return loss
    if pod.deleting:
        return Fault(Reason.JOB_VANISHED, f"pod {pod.name} was deleted while it was evaluated")
    if end.reason in _RUNTIME_TROUBLE:
        return Fault(_runtime_reason(end.message), end.message)
    return Fault(
        Reason.EVALUATOR_FAILED,
        f"the evaluator ended with {end.reason or 'no reason'}, exit code {end.exit_code}, and no report",
        exit_code=end.exit_code,
        last_lines=last_lines(end.message),
    )


def _reported(job: JobObservation, pod: PodObservation) -> Verdict:
    try:
        report = parse_report(pod.evaluate.message)
    except InvalidReportError as error:
        return Fault(Reason.TAMPERED, f"the report is not one: {error}")
    if mismatch := _mismatch(job, report):
        return Fault(Reason.TAMPERED, f"the report's {mismatch} is not the one that was pinned")
    words = parse_last_words(pod.strategy.message)
    if report.verdict != "Rejected":
        return Success(report, pod, words)
    lines = _lines(pod.strategy, words)
    if report.reason == Reason.RESULT_MISSING.value and pod.strategy.reason == _OUT_OF_MEMORY:
        message = "a process of the strategy was ended at the memory limit, and no positions were left"
        return Fault(Reason.OUT_OF_MEMORY, message, pod.strategy.exit_code, None, lines)
    return Fault(Reason(report.reason), report.message, pod.strategy.exit_code, None, lines)


def _mismatch(job: JobObservation, report: Report) -> str | None:
    if not job.nonce or report.nonce != job.nonce:
        return "nonce"
    hashes = report.hashes.document()
    return next((f"hash of {name}" for name, sha in job.pinned.items() if hashes[name] != sha), None)


def _failed_by_itself(pod: PodObservation) -> bool:
    """Whether the strategy, or its dataset, had failed before anybody or anything took its pod away.

    The node's clock says when it ended, the API server's when the pod was to go. They may differ by more than the two
    are apart, so a step that says it was told to stop is believed.
    """
    step = pod.dataset if pod.dataset and pod.unloadable else pod.strategy
    if not step.failed or step.finished_at is None or pod.reason:
        return False
    if pod.leaving_since is None:
        return True
    return step.finished_at < pod.leaving_since and step.exit_code != 128 + _SIGTERM


def _loss(pod: PodObservation) -> Fault | None:
    """Return the platform's part in the end of a pod, where it has one."""
    message = pod.message or pod.disruption or pod.reason
    if pod.reason == "Evicted":
        own = _OWN_LIMIT_EXCEEDED.search(pod.message)
        return Fault(Reason.DISK_LIMIT if own else Reason.EVICTED, message)
    if pod.reason in _NODE_TROUBLE or pod.disruption in _NODE_TROUBLE:
        return Fault(Reason.NODE_LOST, message)
    if pod.reason == "Preempting" or (pod.disruption and (pod.phase == "Failed" or pod.deleting)):
        return Fault(Reason.EVICTED, message)
    if (
        any(step.lost for step in (pod.dataset, pod.strategy, pod.evaluate) if step)
        and not pod.deleting
        and pod.reason != _DEADLINE
    ):
        return Fault(Reason.NODE_LOST, message or "the node lost track of the container")
    return None


def _loader_failed(pod: PodObservation) -> Fault:
    """Judge what the loader, our own code before any of the strategy's, says of the dataset."""
    end = pod.dataset or ContainerState()
    words = parse_loader_words(end.message)
    if pod.reason == _DEADLINE:
        return Fault(Reason.START_TIMEOUT, "the dataset was still being read at the pod's deadline")
    if pod.deleting and not _failed_by_itself(pod):
        return Fault(Reason.JOB_VANISHED, f"pod {pod.name} was deleted while the dataset was read")
    if end.reason in _RUNTIME_TROUBLE:
        return Fault(_runtime_reason(end.message), end.message)
    if words and words.reason != "Loaded" and end.exit_code == 1:
        return Fault(Reason(words.reason), words.message)
    if end.reason == _OUT_OF_MEMORY or end.exit_code == 128 + _SIGKILL:
        return Fault(Reason.DATA_INVALID, "reading the dataset took more memory than the sandbox has")
    message = f"the loader of the dataset ended with exit code {end.exit_code} and no word"
    return Fault(Reason.LOADER_FAILED, message, end.exit_code, None, last_lines(end.message))


def _strategy_failed(pod: PodObservation) -> Fault:
    end = pod.strategy
    words = parse_last_words(end.message)
    lines = _lines(end, words)
    code = words.exit_code if words else end.exit_code
    signal = words.signal if words else _signal(end.exit_code)
    said = Reason(words.reason) if words and words.reason in SAID_BY_HARNESS else None
    if pod.reason == _DEADLINE:
        if end.lost and end.started_at is None:
            return Fault(Reason.START_TIMEOUT, pod.message)
        return Fault(Reason.TIMEOUT, "the kubelet ended the pod at its deadline", end.exit_code, None, lines)
    if pod.deleting and not _failed_by_itself(pod):
        return Fault(Reason.JOB_VANISHED, f"pod {pod.name} was deleted while it ran")
    if end.reason in _RUNTIME_TROUBLE:
        return Fault(_runtime_reason(end.message), end.message)
    if words and words.reason in (Reason.IMAGE_INVALID, Reason.TAMPERED) and end.exit_code == 2:
        return Fault(Reason(words.reason), words.message, end.exit_code)
    if end.reason == _OUT_OF_MEMORY and said is not Reason.TIMEOUT:
        return Fault(Reason.OUT_OF_MEMORY, "the kernel killed a process at the memory limit", code, signal, lines)
    if words and said:
        return Fault(said, words.message, code, signal, lines)
    if end.exit_code == 128 + _SIGSYS:
        return Fault(Reason.SYSCALL_VIOLATION, "a forbidden system call ended the container", code, "SIGSYS", lines)
    if end.exit_code == 128 + _SIGKILL:
        # Nobody in the pod can kill its first process, and whoever else did has left a trace above.
        return Fault(Reason.OUT_OF_MEMORY, "the kernel killed the container", code, signal, lines)
    if signal:
        return Fault(Reason.CRASHED, f"{signal} ended the container", code, signal, lines)
    return Fault(Reason.STRATEGY_ERROR, "the container ended without a word", code, None, lines)


def _lines(end: ContainerState, words: LastWords | None) -> tuple[str, ...]:
    return tuple(words.last_lines) if words else last_lines(end.message)


def _signal(exit_code: int | None) -> str | None:
    """Name the signal in the exit code of a container that a signal ended."""
    if exit_code is None or exit_code <= 128:
        return None
    return _SIGNALS.get(exit_code - 128, f"signal {exit_code - 128}")


def _failed_without_a_word(pod: PodObservation) -> Fault:
    """Judge a pod that is over although no container of it failed."""
    if pod.strategy.terminated:
        waited = f"{pod.evaluate.waiting}: {pod.evaluate.message}" if pod.evaluate.waiting else pod.message
        return Fault(Reason.EVALUATOR_FAILED, f"the evaluator never started: {waited}")
    if pod.reason == _DEADLINE:
        return Fault(Reason.START_TIMEOUT, pod.message)
    if pod.reason:
        return Fault(Reason.UNSCHEDULABLE, f"the node refused the pod: {pod.reason}: {pod.message}")
    return Fault(Reason.NODE_LOST, pod.message or "the pod failed without a word")


def hindrance(message: str) -> Pending:
    """Say what an API server that does not do as asked keeps a run waiting for; a webhook is somebody's policy."""
    return Pending(Reason.POLICY_DENIED if _POLICY.search(message) else Reason.STARTING, message)


def refusal_reason(message: str) -> Reason:
    """Say why the API server refused a Job or a pod."""
    if "exceeded quota" in message:
        return Reason.QUOTA_EXCEEDED
    if "RuntimeClass" in message and "not found" in message:
        return Reason.RUNTIME_CLASS_MISSING
    if "must specify a volume type" in message:  # a cluster drops the one kind of volume that it may not know: an image
        return Reason.DATA_MISSING
    return Reason.POLICY_DENIED


def _starting(pod: PodObservation, trouble: Trouble | None) -> Pending:
    loading = pod.dataset if pod.dataset and not pod.dataset.terminated else None
    container = loading or pod.strategy
    if loading and loading.running:
        return Pending(Reason.STARTING, "the dataset is being read")
    match waiting_reason(container):
        case Reason.IMAGE_PULL_FAILED as reason:
            of_dataset = pod.dataset_image and pod.dataset_image in container.message
            reason = Reason.DATA_MISSING if of_dataset else reason
            return Pending(reason, f"{container.waiting}: {container.message}")
        case Reason() as reason:
            return Pending(reason, container.message)
    if pod.unschedulable is not None:
        missing = _CLAIM_MISSING.search(pod.unschedulable)
        return Pending(Reason.DATA_MISSING if missing else Reason.UNSCHEDULABLE, pod.unschedulable)
    if trouble and trouble.reason in _TROUBLES:
        no_runtime = _RUNTIME_MISSING.search(trouble.message)
        return Pending(Reason.RUNTIME_CLASS_MISSING if no_runtime else _TROUBLES[trouble.reason], trouble.message)
    return Pending(Reason.STARTING, "waiting for the pod to start")


def waiting_reason(container: ContainerState) -> Reason | None:
    """Say why a container cannot be started; None where nothing is known to be in its way."""
    if container.waiting in _IMAGE_TROUBLE:
        return Reason.IMAGE_PULL_FAILED
    if container.waiting in _RUNTIME_TROUBLE or container.reason in _RUNTIME_TROUBLE:
        return _runtime_reason(container.message)
    return None


def _runtime_reason(message: str) -> Reason:
    if "seccomp profile" in message:
        return Reason.SECCOMP_PROFILE_MISSING
    if "executable file not found" in message or "no such file or directory" in message:
        return Reason.IMAGE_INVALID
    return Reason.CONTAINER_CONFIG_ERROR
