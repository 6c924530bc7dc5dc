"""The one decision of this operator: from what is seen of a run to its next status and the next acts.

Pure and level-triggered: the same sight gives the same decision, whatever happened before, so the
operator may be killed after any write. Intent is in the status before a Job is created; names are
functions of the inputs; a final status is never left for the same inputs.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from strategyrun.domain import naming
from strategyrun.domain.inputs import PARAMS_LIMIT_BYTES, build_inputs, canonical, digest, inputs_hash
from strategyrun.domain.job import job as build_job
from strategyrun.domain.job import snapshot as build_snapshot
from strategyrun.domain.job import start_seconds
from strategyrun.domain.network_policy import deny_all
from strategyrun.domain.observation import JobObservation, PodObservation
from strategyrun.domain.outcomes import FAILURES, Reason
from strategyrun.domain.sandbox import Sandbox, SeccompProfile
from strategyrun.domain.status import (
    accept,
    acknowledge,
    advance,
    close_attempt,
    fail,
    look_ahead_fault,
    succeed,
    witness,
)
from strategyrun.domain.strategyrun import (
    Attempt,
    FailureClass,
    Isolation,
    Phase,
    Provenance,
    ReportPolicy,
    ReportReference,
    StrategyRun,
    StrategyRunStatus,
)
from strategyrun.domain.verdict import Fault, Pending, Running, Success, Unseen, judge
from strategyrun.domain.vetting import VENDOR_RULE, Kind, Reading

SOURCE_POLL = timedelta(seconds=5)
RETRY_BACKOFF = timedelta(seconds=10)

_UNREAD = Reading(Kind.SCRIPT)


@dataclass(frozen=True)
class Vetted:
    """The source of the current inputs: its bytes and what reading them told, or what of the inputs is not there."""

    inputs_hash: str
    at: datetime
    """When it was asked for."""
    code: bytes = b""
    reading: Reading = _UNREAD
    missing: Fault | None = None


@dataclass(frozen=True)
class Kept:
    """What became of the full report of a Job's pod: where it is, or why it is nowhere."""

    job_uid: str
    reference: ReportReference | None = None
    lost: str | None = None


@dataclass(frozen=True)
class Seen:
    """All that is known of a run at one moment."""

    run: StrategyRun
    jobs: tuple[JobObservation, ...] = ()
    pods: tuple[PodObservation, ...] = ()
    snapshots: frozenset[str] = frozenset()
    vetted: Vetted | None = None
    slot: bool = False
    nonce: str = ""
    """A fresh unguessable word, for the Job that may be created now."""
    gone: frozenset[str] = frozenset()
    """UIDs of Jobs that a direct read of the API server did not find."""
    podless: frozenset[str] = frozenset()
    """UIDs of ended Jobs of which a direct read of the API server found no pod."""
    kept: Kept | None = None
    refused: str | None = None
    """Why the API server refused the Job, if it did."""


@dataclass(frozen=True)
class Vet:
    """Fetch the source and check it in a limited child process."""


@dataclass(frozen=True)
class Create:
    """POST an object; that it exists already is no error."""

    manifest: dict[str, Any]


@dataclass(frozen=True)
class DeleteJob:
    """Delete a Job and its pod, if it still is that one."""

    name: str
    uid: str


@dataclass(frozen=True)
class DeleteSnapshot:
    """Delete the ConfigMap of inputs that nobody will read again."""

    name: str


@dataclass(frozen=True)
class ConfirmJob:
    """Read a Job from the API server itself: absence in a cache proves nothing."""

    name: str
    uid: str


@dataclass(frozen=True)
class FindPod:
    """Read the pods of an ended Job from the API server itself, for the same reason."""

    job_uid: str


@dataclass(frozen=True)
class KeepReport:
    """Read the full report from the log of a pod's evaluator, and keep it in a ConfigMap."""

    job_uid: str
    pod_name: str
    sha256: str


@dataclass(frozen=True)
class DeleteReport:
    """Delete the ConfigMap of a report that no status speaks of any more."""

    name: str


Act = Vet | Create | DeleteJob | DeleteSnapshot | ConfirmJob | FindPod | KeepReport | DeleteReport


@dataclass(frozen=True)
class Decision:
    """The status to write first (if there is one and it differs), then the acts in order, then when to look again."""

    status: StrategyRunStatus | None
    acts: tuple[Act, ...] = ()
    wake_at: datetime | None = None


@dataclass(frozen=True)
class Reconciler:
    """The decision, bound to the sandbox it decides for."""

    sandbox: Sandbox
    seccomp: SeccompProfile

    def decide(self, seen: Seen, now: datetime) -> Decision:
        """Return the next step of a run."""
        decision = self._decide(seen, now)
        forgotten = sorted(_reports(seen.run.status) - _reports(decision.status))
        return replace(decision, acts=(*decision.acts, *(DeleteReport(name) for name in forgotten)))

    def _decide(self, seen: Seen, now: datetime) -> Decision:
        run = seen.run
        if run.deleting:
            return Decision(run.status, _tidy(seen))
        wanted = inputs_hash(run)
        status = run.status
        if status is None or status.inputs_hash != wanted:
            status = accept(run, wanted, _first_seen(seen, wanted) or now)
        elif status.observed_generation != run.generation:
            status = acknowledge(status, run)
        if status.final:
            return Decision(status, _tidy(seen))
        if run.unreadable:
            fault = Fault(Reason.SPEC_INVALID, run.unreadable.complaint)
            return Decision(fail(status, run, now, fault), _tidy(seen))
        attempt = status.attempts[-1] if status.attempts else None
        if attempt is None or attempt.finished_at is not None:
            return self._begin(seen, status, now)
        return self._follow(seen, status, attempt, now)

    def _begin(self, seen: Seen, status: StrategyRunStatus, now: datetime) -> Decision:
        """Admit the first attempt, or the next one after a failure of the platform."""
        run, tidy = seen.run, _tidy(seen)
        if (due := _due(status)) and now < due:
            return Decision(status, tidy, wake_at=due)
        vetted = _current(seen, status, now)
        if vetted is None:
            # Until the status speaks of these inputs, the Job of the earlier ones is not touched: they may come back.
            return Decision(run.status, (Vet(),))
        if vetted.missing:
            return self._await_inputs(seen, status, vetted.missing, now)
        if fault := _refusal(run, status, vetted):
            return Decision(fail(status, run, now, fault), tidy)
        number = len(status.attempts) + 1
        attempt = Attempt(number=number, job_name=naming.job_name(run, status.inputs_hash, number), created_at=now)
        if obstacles := _obstacles(seen, attempt.job_name):
            return Decision(status, (*_deletions(obstacles), *_snapshot_deletions(seen)))
        if not seen.slot:
            message = "waiting for a free slot"
            waiting = advance(status, run, now, Phase.QUEUED, Reason.WAITING_FOR_SLOT, message)
            return Decision(waiting, tidy)
        begun = advance(
            status,
            run,
            now,
            Phase.STARTING,
            Reason.STARTING,
            "the pod is starting",
            executor="Sandbox",
            kind=vetted.reading.kind,
            attempts=(*status.attempts, attempt),
            provenance=self._provenance(run, vetted.code),
        )
        return Decision(begun, (*tidy, *self._launch(seen, begun, attempt, vetted)))

    def _follow(self, seen: Seen, status: StrategyRunStatus, attempt: Attempt, now: datetime) -> Decision:
        """Watch an attempt whose intent is on record."""
        run, tidy = seen.run, _tidy(seen, attempt)
        job = next((job for job in seen.jobs if job.name == attempt.job_name), None)
        if job is None:
            return self._without_job(seen, status, attempt, now)
        if job.run_uid != run.uid:
            return _ended(seen, status, now, Fault(Reason.NAME_CONFLICT, f"Job {job.name} is not this run's"))
        pod = next((pod for pod in seen.pods if pod.job_uid == job.uid), None)
        match judge(job, pod, podless=job.uid in seen.podless):
            case Pending(reason, message):
                limit = start_seconds(run, self.sandbox)
                deadline = job.created_at + timedelta(seconds=limit)
                if now >= deadline:
                    return _ended(seen, witness(status, job, pod), now, _overdue(reason, message, limit), pod)
                if reason is not Reason.STARTING or status.reason != reason:
                    status = advance(witness(status, job, pod), run, now, Phase.STARTING, reason, message)
                return Decision(status, tidy, wake_at=deadline)
            case Running():
                status = advance(
                    witness(status, job, pod), run, now, Phase.RUNNING, Reason.RUNNING, "the strategy runs"
                )
                return Decision(status, tidy)
            case Unseen():
                return Decision(status, (*tidy, FindPod(job.uid)))
            case Success() as success:
                return self._conclude(seen, status, job, success, now)
            case Fault() as fault:
                return _ended(seen, witness(status, job, pod), now, fault, pod)

    def _conclude(
        self, seen: Seen, status: StrategyRunStatus, job: JobObservation, success: Success, now: datetime
    ) -> Decision:
        """Keep the full report while the pod is there, then record the answer."""
        run, pod = seen.run, success.pod
        if fault := look_ahead_fault(run, success):
            return _ended(seen, witness(status, job, pod), now, fault, pod)
        kept = seen.kept if seen.kept and seen.kept.job_uid == job.uid else None
        wanted = success.report.hashes.report if run.spec.report is ReportPolicy.KEEP else None
        if wanted and kept is None:
            return Decision(status, (KeepReport(job.uid, pod.name, wanted),))
        kept = kept or Kept(job.uid)
        closed = close_attempt(witness(status, job, pod), now, Reason.EVALUATED)
        return Decision(succeed(closed, run, now, success, kept.reference, kept.lost), _tidy(seen))

    def _without_job(self, seen: Seen, status: StrategyRunStatus, attempt: Attempt, now: datetime) -> Decision:
        """Create the Job that is on record, unless it was there already and somebody deleted it."""
        if attempt.job_uid is not None:
            if attempt.job_uid not in seen.gone:
                return Decision(status, (ConfirmJob(attempt.job_name, attempt.job_uid),))
            return _ended(seen, status, now, Fault(Reason.JOB_VANISHED, f"Job {attempt.job_name} was deleted"))
        if seen.refused:
            return _ended(seen, status, now, Fault(Reason.POLICY_DENIED, seen.refused))
        vetted = _current(seen, status, now)
        if vetted is None:
            return Decision(status, (Vet(),))
        if fault := _refusal(seen.run, status, vetted):
            return _ended(seen, status, now, fault)
        return Decision(status, self._launch(seen, status, attempt, vetted))

    def _await_inputs(self, seen: Seen, status: StrategyRunStatus, missing: Fault, now: datetime) -> Decision:
        """Give a source or a dataset that is applied beside the run time to appear."""
        run, since = seen.run, status.accepted_at or now
        if now - since >= timedelta(seconds=self.sandbox.timeouts.start_seconds):
            return Decision(fail(status, run, now, missing), _tidy(seen))
        waiting = advance(status, run, now, Phase.QUEUED, missing.reason, missing.message)
        return Decision(waiting, _tidy(seen), wake_at=now + SOURCE_POLL)

    def _launch(self, seen: Seen, status: StrategyRunStatus, attempt: Attempt, vetted: Vetted) -> tuple[Create, ...]:
        run, inputs = seen.run, build_inputs(seen.run, vetted.code, vetted.reading.kind, self.sandbox)
        snapshot = Create(build_snapshot(run, inputs))
        job = Create(
            build_job(
                run,
                inputs_hash=status.inputs_hash,
                inputs=inputs,
                attempt=attempt.number,
                nonce=seen.nonce,
                sandbox=self.sandbox,
                seccomp=self.seccomp,
            )
        )
        # The policy every time: that it was there once says nothing of a namespace that was made anew.
        return (Create(deny_all(run.namespace)), snapshot, job)

    def _provenance(self, run: StrategyRun, code: bytes) -> Provenance:
        return Provenance(
            code_sha256=digest(code),
            params_sha256=digest(canonical(run.spec.params)),
            seccomp_sha256=self.seccomp.sha256,
            isolation=Isolation(seccomp=self.seccomp.localhost_profile, network_policy="Applied"),
        )


def _overdue(reason: Reason, message: str, limit: int) -> Fault:
    if reason is not Reason.STARTING:
        return Fault(reason, message)
    return Fault(Reason.START_TIMEOUT, f"after {limit} s still {message}")


def _reports(status: StrategyRunStatus | None) -> set[str]:
    """Return the ConfigMaps of reports that a status speaks of."""
    if status is None:
        return set()
    references = (status.report, *(past.report for past in status.history))
    return {reference.config_map for reference in references if reference}


def _first_seen(seen: Seen, wanted: str) -> datetime | None:
    """Return when these inputs were first looked at, if that was before now."""
    return seen.vetted.at if seen.vetted and seen.vetted.inputs_hash == wanted else None


def _due(status: StrategyRunStatus) -> datetime | None:
    """Return when the next attempt may begin, if one has failed."""
    last = status.attempts[-1] if status.attempts else None
    if last is None or last.finished_at is None:
        return None
    return last.finished_at + RETRY_BACKOFF * (1 << (last.number - 1))


def _current(seen: Seen, status: StrategyRunStatus, now: datetime) -> Vetted | None:
    """Return the source if it is the one of these inputs; one that was missing is looked for again."""
    vetted = seen.vetted
    if vetted is None or vetted.inputs_hash != status.inputs_hash:
        return None
    if vetted.missing and now - vetted.at >= SOURCE_POLL:
        return None
    return vetted


def _refusal(run: StrategyRun, status: StrategyRunStatus, vetted: Vetted) -> Fault | None:
    """Return why no pod is to be started for this source, if so."""
    if vetted.missing:
        return vetted.missing
    pinned = status.provenance.code_sha256 if status.provenance else None
    if pinned and pinned != digest(vetted.code):
        return Fault(Reason.SOURCE_MISSING, "the source has changed since this evaluation began")
    if flaws := vetted.reading.flaws:
        first = flaws[0]
        message = f"line {first.line}: {first.hint} [{first.rule}]"
        vendor = all(flaw.rule == VENDOR_RULE for flaw in flaws)
        return Fault(Reason.VENDOR_AUTH_REQUIRED if vendor else Reason.CODE_REJECTED, message, flaws=flaws)
    size = len(canonical(run.spec.params))
    if size > PARAMS_LIMIT_BYTES:
        return Fault(Reason.SPEC_INVALID, f"spec.params: {size} bytes of JSON; the limit is {PARAMS_LIMIT_BYTES}")
    return None


def _ended(
    seen: Seen, status: StrategyRunStatus, now: datetime, fault: Fault, pod: PodObservation | None = None
) -> Decision:
    """Repeat after a failure of the platform while the limit allows; else the run has failed."""
    run, tidy = seen.run, _tidy(seen)
    closed = close_attempt(status, now, fault.reason, fault.message)
    of_platform = FAILURES[fault.reason].class_ is FailureClass.PLATFORM
    if of_platform and len(status.attempts) <= run.spec.retry.limit:
        message = f"{fault.reason}: {fault.message}"
        again = advance(closed, run, now, Phase.QUEUED, Reason.RETRYING, message)
        return Decision(again, tidy, wake_at=_due(again))
    return Decision(fail(closed, run, now, fault, pod), tidy)


def _can_run(job: JobObservation, seen: Seen) -> bool:
    """Whether a strategy may run or start under this Job of the run."""
    ended = {pod.job_uid for pod in seen.pods if pod.done}
    return job.run_uid == seen.run.uid and not job.finished and job.uid not in ended


def _obstacles(seen: Seen, job_name: str) -> list[JobObservation]:
    """Return what a new attempt waits for: a Job that may still run, or an earlier one of its name.

    Both are left by earlier evaluations: when inputs change and change back, the names come back too.
    """
    own = (job for job in seen.jobs if job.run_uid == seen.run.uid)
    return [job for job in own if job.name == job_name or _can_run(job, seen)]


def _tidy(seen: Seen, attempt: Attempt | None = None) -> tuple[Act, ...]:
    """Delete what the run does not need: Jobs other than the attempt's; snapshots when there is no attempt."""
    name = attempt.job_name if attempt else None
    jobs = [job for job in seen.jobs if job.name != name and _can_run(job, seen)]
    return (*_deletions(jobs), *(() if attempt else _snapshot_deletions(seen)))


def _deletions(jobs: list[JobObservation]) -> tuple[DeleteJob, ...]:
    return tuple(DeleteJob(job.name, job.uid) for job in jobs if not job.deleting)


def _snapshot_deletions(seen: Seen) -> tuple[DeleteSnapshot, ...]:
    return tuple(DeleteSnapshot(name) for name in sorted(seen.snapshots))
