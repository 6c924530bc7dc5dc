"""From what a Job and its pod show to what became of the attempt."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from strategyrun.domain.observation import ContainerState, JobObservation, PodObservation
from strategyrun.domain.outcomes import USER_REASONS, Reason
from strategyrun.domain.report import InvalidReportError, Report, parse_last_words, parse_report
from strategyrun.domain.text import clean, last_lines

CONFIRM_AFTER = timedelta(seconds=5)
"""How long a Job may look dead without a pod that says why: the pod's last event may still be on its way."""


@dataclass(frozen=True)
class Pending:
    """The strategy has not started; `reason` says what it waits for."""

    reason: Reason
    message: str


@dataclass(frozen=True)
class Running:
    """The strategy or its evaluation runs."""


@dataclass(frozen=True)
class Success:
    """The evaluator scored the positions, and its report is the one that was asked for."""

    report: Report
    pod: PodObservation


@dataclass(frozen=True)
class Fault:
    """The attempt failed."""

    reason: Reason
    message: str
    exit_code: int | None = None
    signal: str | None = None
    last_lines: tuple[str, ...] = ()


Verdict = Pending | Running | Success | Fault

_IMAGE_TROUBLE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"}
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


def judge(job: JobObservation, pod: PodObservation | None, now: datetime) -> Verdict:
    """Tell what became of an attempt. Evidence of success outranks every sign of failure."""
    if pod is None:
        return _without_pod(job, now)
    if pod.evaluate.terminated:
        return _evaluated(job, pod)
    if loss := _loss(pod):
        return loss
    if pod.strategy.terminated and pod.strategy.exit_code != 0:
        return _strategy_failed(pod.strategy, pod)
    if pod.phase == "Failed":
        return _failed_before_start(pod)
    if pod.strategy.terminated or pod.strategy.running:
        return _starting(pod, pod.evaluate) if pod.evaluate.waiting in _RUNTIME_TROUBLE else Running()
    return _starting(pod, pod.strategy)


def _without_pod(job: JobObservation, now: datetime) -> Verdict:
    if job.failure == "DeadlineExceeded":
        return Fault(Reason.START_TIMEOUT, "the Job's deadline passed before its pod started")
    if (job.failure is not None or job.finished) and now - job.created_at > CONFIRM_AFTER:
        return Fault(Reason.JOB_VANISHED, f"the pod of Job {job.name} is gone: {clean(job.failure_message)}")
    return Pending(Reason.STARTING, "waiting for the pod")


def _evaluated(job: JobObservation, pod: PodObservation) -> Verdict:
    end = pod.evaluate
    if loss := _loss(pod) if end.exit_code else None:
        return loss
    if end.exit_code or not end.message:
        if end.reason in _RUNTIME_TROUBLE:
            return Fault(_runtime_reason(end.message), clean(end.message))
        return Fault(
            Reason.EVALUATOR_FAILED,
            f"the evaluator ended with {end.reason or 'no reason'}, exit code {end.exit_code}, and no report",
            exit_code=end.exit_code,
            last_lines=last_lines(end.message),
        )
    try:
        report = parse_report(end.message)
    except InvalidReportError as error:
        return Fault(Reason.TAMPERED, f"the report is not one: {error}")
    if mismatch := _mismatch(job, report):
        return Fault(Reason.TAMPERED, f"the report's {mismatch} is not the one that was pinned")
    if report.verdict == "Evaluated":
        return Success(report, pod)
    return Fault(Reason(report.reason), clean(report.message))


def _mismatch(job: JobObservation, report: Report) -> str | None:
    if not job.nonce or report.nonce != job.nonce:
        return "nonce"
    hashes = report.hashes.document()
    return next((f"hash of {name}" for name, sha in job.pinned.items() if hashes[name] != sha), None)


def _loss(pod: PodObservation) -> Fault | None:
    """Return the platform's part in the end of a pod, where it has one."""
    message = clean(pod.message or pod.disruption or pod.reason)
    if pod.reason == "Evicted" and ("exceeds the limit" in pod.message or "ephemeral" in pod.message):
        return Fault(Reason.DISK_LIMIT, message)
    unknown = pod.strategy.reason == "ContainerStatusUnknown" or pod.evaluate.reason == "ContainerStatusUnknown"
    if unknown or pod.reason in _NODE_TROUBLE or pod.disruption in _NODE_TROUBLE:
        return Fault(Reason.NODE_LOST, message or "the node lost track of the container")
    ended = pod.phase == "Failed" or pod.deleting
    if ended and (pod.disruption or pod.reason in ("Evicted", "Preempting", "UnexpectedAdmissionError")):
        return Fault(Reason.EVICTED, message)
    if ended and pod.reason.startswith("OutOf"):
        return Fault(Reason.UNSCHEDULABLE, message)
    return None


def _strategy_failed(end: ContainerState, pod: PodObservation) -> Fault:
    words = parse_last_words(end.message)
    lines = words.last_lines if words else last_lines(end.message)
    if end.reason == "OOMKilled":
        return Fault(Reason.OUT_OF_MEMORY, "the kernel ended the container at its memory limit", 137, "SIGKILL", lines)
    if end.reason in _RUNTIME_TROUBLE:
        return Fault(_runtime_reason(end.message), clean(end.message))
    if pod.reason == "DeadlineExceeded":
        return Fault(Reason.TIMEOUT, "the kubelet ended the pod at its deadline", end.exit_code, "SIGKILL", lines)
    if pod.deleting:
        return Fault(Reason.JOB_VANISHED, f"pod {pod.name} was deleted while it ran")
    if words and end.exit_code == 2 and words.reason == Reason.IMAGE_INVALID:
        return Fault(Reason.IMAGE_INVALID, words.message, end.exit_code)
    if words and words.reason in USER_REASONS:
        return Fault(Reason(words.reason), words.message, words.exit_code, words.signal, lines)
    if end.exit_code is not None and end.exit_code > 128:
        return Fault(Reason.CRASHED, "a signal ended the container", end.exit_code, _signal(end), lines)
    return Fault(Reason.STRATEGY_ERROR, "the container ended without a word", end.exit_code, None, lines)


def _signal(end: ContainerState) -> str:
    return f"signal {end.signal or (end.exit_code or 128) - 128}"


def _failed_before_start(pod: PodObservation) -> Fault:
    if pod.reason == "DeadlineExceeded":
        if pod.strategy.started_at:
            return Fault(Reason.TIMEOUT, "the kubelet ended the pod at its deadline")
        return Fault(Reason.START_TIMEOUT, clean(pod.message))
    return Fault(Reason.NODE_LOST, clean(pod.message or pod.reason or "the pod failed without a word"))


def _starting(pod: PodObservation, container: ContainerState) -> Verdict:
    if pod.deleting:
        return Fault(Reason.JOB_VANISHED, f"pod {pod.name} was deleted before it ran")
    if container.waiting in _IMAGE_TROUBLE:
        return Pending(Reason.IMAGE_PULL_FAILED, clean(f"{container.waiting}: {container.message}"))
    if container.waiting in _RUNTIME_TROUBLE:
        return Pending(_runtime_reason(container.message), clean(container.message))
    if pod.unschedulable is not None:
        return Pending(Reason.UNSCHEDULABLE, clean(pod.unschedulable))
    return Pending(Reason.STARTING, f"pod {pod.name} is starting" + (f" on {pod.node}" if pod.node else ""))


def _runtime_reason(message: str) -> Reason:
    if "seccomp profile" in message:
        return Reason.SECCOMP_PROFILE_MISSING
    if "executable file not found" in message or "no such file or directory" in message:
        return Reason.IMAGE_INVALID
    return Reason.CONTAINER_CONFIG_ERROR
