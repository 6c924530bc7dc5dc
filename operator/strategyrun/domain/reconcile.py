"""The one decision of this operator: from what is seen of a run to its next status and the next acts.

Pure and level-triggered: the same sight gives the same decision, whatever happened before, so the
operator may be killed after any write. Intent is in the status before a Job is created; names are
functions of the inputs; a final status is never left for the same inputs.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from strategyrun.domain import naming
from strategyrun.domain.inputs import PARAMS_LIMIT_BYTES, build_inputs, canonical, digest, inputs_hash
from strategyrun.domain.job import job as build_job
from strategyrun.domain.job import snapshot as build_snapshot
from strategyrun.domain.network_policy import deny_all
from strategyrun.domain.observation import JobObservation, PodObservation
from strategyrun.domain.outcomes import FAILURES, Reason
from strategyrun.domain.sandbox import Sandbox, SeccompProfile
from strategyrun.domain.status import accept, advance, fail, succeed
from strategyrun.domain.strategyrun import (
    Attempt,
    FailureClass,
    Isolation,
    Phase,
    Provenance,
    StrategyRun,
    StrategyRunStatus,
)
from strategyrun.domain.text import clean
from strategyrun.domain.verdict import Fault, Pending, Running, Success, judge
from strategyrun.domain.vetting import Flaw

SOURCE_POLL = timedelta(seconds=5)
RETRY_BACKOFF = timedelta(seconds=10)


@dataclass(frozen=True)
class Vetted:
    """The source of the current inputs: its bytes and its flaws, or why it cannot be had."""

    inputs_hash: str
    at: datetime
    code: bytes = b""
    flaws: tuple[Flaw, ...] = ()
    missing: str | None = None


@dataclass(frozen=True)
class Seen:
    """All that is known of a run at one moment."""

    run: StrategyRun
    jobs: tuple[JobObservation, ...] = ()
    pods: tuple[PodObservation, ...] = ()
    snapshots: frozenset[str] = frozenset()
    vetted: Vetted | None = None
    slot: bool = False
    policy: bool = False
    nonce: str = ""
    """A fresh unguessable word, for the Job that may be created now."""
    gone: frozenset[str] = frozenset()
    """UIDs of Jobs that a direct read of the API server did not find."""
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


Act = Vet | Create | DeleteJob | DeleteSnapshot | ConfirmJob


@dataclass(frozen=True)
class Decision:
    """The status to write first (if it differs), then the acts in order, then when to look again."""

    status: StrategyRunStatus
    acts: tuple[Act, ...] = ()
    wake_at: datetime | None = None


@dataclass(frozen=True)
class Reconciler:
    """The decision, bound to the sandbox it decides for."""

    sandbox: Sandbox
    seccomp: SeccompProfile

    def decide(self, seen: Seen, now: datetime) -> Decision:
        """Return the next step of a run."""
        run = seen.run
        wanted = inputs_hash(run)
        status = run.status
        if status is None or status.inputs_hash != wanted:
            status = accept(run, wanted, now)
        if status.final:
            return Decision(status, _tidy(seen, status))
        attempt = status.attempts[-1] if status.attempts else None
        if attempt is None or attempt.finished_at is not None:
            return self._begin(seen, status, now)
        return self._follow(seen, status, attempt, now)

    def _begin(self, seen: Seen, status: StrategyRunStatus, now: datetime) -> Decision:
        """Admit the first attempt, or the next one after a failure of the platform."""
        run, tidy = seen.run, _tidy(seen, status)
        last = status.attempts[-1] if status.attempts else None
        if last and last.finished_at:
            due = last.finished_at + RETRY_BACKOFF * 2 ** (last.number - 1)
            if now < due:
                return Decision(status, tidy, wake_at=due)
        vetted = _current(seen, status, now)
        if vetted is None:
            return Decision(status, (*tidy, Vet()))
        if vetted.missing:
            return self._await_source(seen, status, vetted.missing, now)
        if fault := _refusal(run, status, vetted):
            return Decision(fail(status, run, now, fault, flaws=vetted.flaws), tidy)
        if not seen.slot:
            message = "waiting for a free slot"
            waiting = advance(status, run, now, Phase.QUEUED, Reason.WAITING_FOR_SLOT, message)
            return Decision(waiting, tidy)
        number = last.number + 1 if last else 1
        attempt = Attempt(number=number, job_name=naming.job_name(run, status.inputs_hash, number), created_at=now)
        begun = advance(
            status,
            run,
            now,
            Phase.STARTING,
            Reason.STARTING,
            "the pod is starting",
            executor="Sandbox",
            attempts=(*status.attempts, attempt),
            provenance=self._provenance(run, vetted.code),
        )
        return Decision(begun, (*tidy, *self._launch(seen, begun, attempt, vetted.code)))

    def _follow(self, seen: Seen, status: StrategyRunStatus, attempt: Attempt, now: datetime) -> Decision:
        """Watch an attempt whose intent is on record."""
        run = seen.run
        job = next((job for job in seen.jobs if job.name == attempt.job_name), None)
        if job is None:
            return self._without_job(seen, status, attempt, now)
        if job.run_uid != run.uid:
            return _ended(seen, status, now, Fault(Reason.NAME_CONFLICT, f"Job {job.name} is not this run's"))
        pod = next((pod for pod in seen.pods if pod.job_uid == job.uid), None)
        match judge(job, pod, now):
            case Pending(reason, message):
                deadline = job.created_at + timedelta(seconds=self.sandbox.timeouts.start_seconds)
                if now >= deadline:
                    final = Reason.START_TIMEOUT if reason is Reason.STARTING else reason
                    return _ended(seen, _witness(status, job, pod), now, Fault(final, message), pod)
                if reason is not Reason.STARTING:
                    status = advance(_witness(status, job, pod), run, now, Phase.STARTING, reason, message)
                return Decision(status, _tidy(seen, status), wake_at=deadline)
            case Running():
                status = advance(
                    _witness(status, job, pod), run, now, Phase.RUNNING, Reason.RUNNING, "the strategy runs"
                )
                return Decision(status, _tidy(seen, status))
            case Success(report, scored):
                closed = _closed(_witness(status, job, scored), now, Reason.EVALUATED)
                return _finished(seen, succeed(closed, run, now, report, scored))
            case Fault() as fault:
                return _ended(seen, _witness(status, job, pod), now, fault, pod)

    def _without_job(self, seen: Seen, status: StrategyRunStatus, attempt: Attempt, now: datetime) -> Decision:
        """Create the Job that is on record, unless it was there already and somebody deleted it."""
        if seen.refused:
            return _ended(seen, status, now, Fault(Reason.POLICY_DENIED, clean(seen.refused)))
        if attempt.job_uid is None:
            vetted = _current(seen, status, now)
            if vetted is None:
                return Decision(status, (Vet(),))
            if fault := _refusal(seen.run, status, vetted):
                return _ended(seen, status, now, fault)
            return Decision(status, self._launch(seen, status, attempt, vetted.code))
        if attempt.job_uid not in seen.gone:
            return Decision(status, (ConfirmJob(attempt.job_name, attempt.job_uid),))
        return _ended(seen, status, now, Fault(Reason.JOB_VANISHED, f"Job {attempt.job_name} was deleted"))

    def _await_source(self, seen: Seen, status: StrategyRunStatus, missing: str, now: datetime) -> Decision:
        """Give a source that is applied beside the run time to appear."""
        run, since = seen.run, status.accepted_at or now
        if now - since >= timedelta(seconds=self.sandbox.timeouts.start_seconds):
            return Decision(fail(status, run, now, Fault(Reason.SOURCE_MISSING, missing)), _tidy(seen, status))
        waiting = advance(status, run, now, Phase.QUEUED, Reason.SOURCE_MISSING, missing)
        return Decision(waiting, _tidy(seen, waiting), wake_at=now + SOURCE_POLL)

    def _launch(self, seen: Seen, status: StrategyRunStatus, attempt: Attempt, code: bytes) -> tuple[Create, ...]:
        run, inputs = seen.run, build_inputs(seen.run, code, self.sandbox)
        policy = () if seen.policy else (Create(deny_all(run.namespace)),)
        snapshot = Create(build_snapshot(run, status.inputs_hash, inputs))
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
        return (*policy, snapshot, job)

    def _provenance(self, run: StrategyRun, code: bytes) -> Provenance:
        return Provenance(
            code_sha256=digest(code),
            params_sha256=digest(canonical(run.spec.params)),
            seccomp_sha256=self.seccomp.sha256,
            isolation=Isolation(seccomp=self.seccomp.localhost_profile, network_policy="Applied"),
        )


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
        return Fault(Reason.SOURCE_MISSING, vetted.missing)
    pinned = status.provenance.code_sha256 if status.provenance else None
    if pinned and pinned != digest(vetted.code):
        return Fault(Reason.SOURCE_MISSING, "the source has changed since this evaluation began")
    if vetted.flaws:
        first = vetted.flaws[0]
        return Fault(Reason.CODE_REJECTED, f"line {first.line}: {first.hint} [{first.rule}]")
    size = len(canonical(run.spec.params))
    if size > PARAMS_LIMIT_BYTES:
        return Fault(Reason.SPEC_INVALID, f"spec.params: {size} bytes of JSON; the limit is {PARAMS_LIMIT_BYTES}")
    return None


def _ended(
    seen: Seen, status: StrategyRunStatus, now: datetime, fault: Fault, pod: PodObservation | None = None
) -> Decision:
    """Repeat after a failure of the platform while the limit allows; else the run has failed."""
    closed = _closed(status, now, fault.reason, fault.message)
    of_platform = FAILURES[fault.reason].class_ is FailureClass.PLATFORM
    if of_platform and len(status.attempts) <= seen.run.spec.retry.limit:
        message = f"{fault.reason}: {fault.message}"
        again = advance(closed, seen.run, now, Phase.QUEUED, Reason.RETRYING, message)
        return Decision(again, _tidy(seen, again))
    return _finished(seen, fail(closed, seen.run, now, fault, pod))


def _finished(seen: Seen, status: StrategyRunStatus) -> Decision:
    return Decision(status, _tidy(seen, status))


def _witness(status: StrategyRunStatus, job: JobObservation, pod: PodObservation | None) -> StrategyRunStatus:
    """Put on record which Job and pod carry the last attempt."""
    changes: dict[str, Any] = {"job_uid": job.uid}
    if pod is not None:
        changes["node"] = pod.node
        if pod.strategy.started_at is not None:
            changes["pod_name"] = pod.name
    return _with_last_attempt(status, changes)


def _closed(status: StrategyRunStatus, now: datetime, reason: Reason, message: str = "") -> StrategyRunStatus:
    return _with_last_attempt(status, {"finished_at": now, "reason": reason, "message": message or None})


def _with_last_attempt(status: StrategyRunStatus, changes: dict[str, Any]) -> StrategyRunStatus:
    *earlier, last = status.attempts
    return status.model_copy(update={"attempts": (*earlier, last.model_copy(update=changes))})


def _tidy(seen: Seen, status: StrategyRunStatus) -> tuple[Act, ...]:
    """Delete what the run no longer needs: Jobs that could still run, snapshots nobody will read."""
    last = status.attempts[-1] if status.attempts else None
    live = last is not None and last.finished_at is None
    job_in_use = last.job_name if last and live else None
    snapshot_in_use = None if status.final else naming.snapshot_name(seen.run, status.inputs_hash)
    ended = {pod.job_uid for pod in seen.pods if pod.done}
    jobs = (
        DeleteJob(job.name, job.uid)
        for job in seen.jobs
        if job.name != job_in_use
        and job.run_uid == seen.run.uid
        and not (job.finished or job.deleting or job.uid in ended)
    )
    snapshots = (DeleteSnapshot(name) for name in sorted(seen.snapshots) if name != snapshot_in_use)
    return (*jobs, *snapshots)
