"""The one decision of this operator: from what is seen of a run to its next status and the next acts.

Pure and level-triggered: the same sight gives the same decision, whatever happened before, so the
operator may be killed after any write. Intent is in the status before a Job is created; names are
functions of the inputs; a final status is never left for the same inputs.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from strategyrun.domain import naming
from strategyrun.domain.acts import (
    Act,
    ConfirmJob,
    Create,
    DeleteJob,
    DeleteReport,
    DeleteSnapshot,
    FindPod,
    FindTrouble,
    KeepReport,
    StopJob,
    Vet,
)
from strategyrun.domain.inputs import PARAMS_LIMIT_BYTES, build_inputs, canonical, digest, inputs_hash
from strategyrun.domain.job import job as build_job
from strategyrun.domain.job import snapshot as build_snapshot
from strategyrun.domain.job import start_seconds
from strategyrun.domain.model import rfc3339
from strategyrun.domain.network_policy import deny_all
from strategyrun.domain.observation import JobObservation, PodObservation
from strategyrun.domain.outcomes import FAILURES, STARTS_FALLBACK, Reason
from strategyrun.domain.sandbox import Obstacle, Profile
from strategyrun.domain.seen import Kept, Seen, Vain, Vetted
from strategyrun.domain.slots import Place
from strategyrun.domain.status import (
    accept,
    acknowledge,
    advance,
    begin,
    close_attempt,
    duration,
    fail,
    gated,
    has_begun,
    is_acknowledged,
    look_ahead_fault,
    put_right,
    succeed,
    witness,
)
from strategyrun.domain.strategyrun import (
    Attempt,
    Executor,
    FailureClass,
    FallbackPolicy,
    FallbackStatus,
    Isolation,
    Phase,
    Provenance,
    QueueStatus,
    ReportPolicy,
    StrategyRun,
    StrategyRunStatus,
    Summary,
)
from strategyrun.domain.text import LINE_LIMIT, clean
from strategyrun.domain.verdict import Fault, Lingering, Pending, Running, Success, Unseen, judge
from strategyrun.domain.vetting import VENDOR_RULE

SOURCE_POLL = timedelta(seconds=5)
RETRY_BACKOFF = timedelta(seconds=10)
QUOTA_POLL = timedelta(seconds=15)
PROFILE_PATIENCE = timedelta(seconds=120)
REPORT_PATIENCE = timedelta(seconds=15)
"""Short, for a slot is held: where no log can be had at all, it would be held so long by every run."""
NODE_PATIENCE = timedelta(seconds=60)
"""So long after its grace a pod may go on: what hangs in the kernel or the runtime no signal ends."""
VAIN_VETTINGS = 3
"""So many in a row are told of: the first may be a moment's."""
TROUBLE_AFTER, TROUBLE_POLL = timedelta(seconds=5), timedelta(seconds=10)
"""A pod that has not started by then has events that say why; they are read again so often."""

_EVENTS_TELL = frozenset(
    {
        Reason.STARTING,
        Reason.MOUNT_FAILED,
        Reason.RUNTIME_CLASS_MISSING,
        Reason.POD_SANDBOX_FAILED,
        Reason.POLICY_DENIED,
    }
)
"""What a pod waits for of which its own status does not, or not always, say why."""

_POD_STARTS = Pending(Reason.STARTING, "the pod is starting")
_LACKS = frozenset({Reason.SOURCE_MISSING, Reason.DATA_MISSING, Reason.POLICY_DENIED})
"""What is looked for again and again, whether or not there is a slot."""


@dataclass(frozen=True)
class Decision:
    """The status to write first (if there is one and it differs), then the acts in order, then when to look again."""

    status: StrategyRunStatus | None
    acts: tuple[Act, ...] = ()
    wake_at: datetime | None = None


def decide(seen: Seen, now: datetime) -> Decision:
    """Return the next step of a run."""
    if seen.run.kueue_queue:
        seen = replace(seen, place=Place(0))  # it stands in Kueue's line
    decision = _decide(seen, now)
    forgotten = sorted(_reports(seen.run.status) - _reports(decision.status))
    expired, expires_at = _expired(seen, decision.status, now)
    # First, for another act may fail, and whoever looks again does not see that they were forgotten just now.
    acts = (*(DeleteReport(name) for name in forgotten), *decision.acts, *_deletions(expired))
    return replace(decision, acts=acts, wake_at=min(filter(None, (decision.wake_at, expires_at)), default=None))


def holds_slot(run: StrategyRun, status: StrategyRunStatus | None, jobs: Collection[JobObservation]) -> bool:
    """Whether a run with this status takes one of the operator's slots.

    One that is on its way out takes none, nor one that Kueue let in: its Job says that, for a label comes and goes.
    """
    if status is None or not status.phase.active or run.deleting:
        return False
    attempt = _open_attempt(status)
    own = [job for job in jobs if attempt and job.name == attempt.job_name]
    return not (own[0].in_queue if own else run.kueue_queue)


def stands_in_line(run: StrategyRun) -> bool:
    """Whether a run waits for one of the operator's slots; one that has a Job waits for whoever holds that back."""
    status = run.status
    if status is None or run.deleting or run.kueue_queue or _open_attempt(status):
        return False
    return status.reason in (Reason.WAITING_FOR_SLOT, Reason.QUOTA_EXCEEDED)


def met_quota(status: StrategyRunStatus) -> bool:
    """Whether a spent ResourceQuota has just refused the run's Job or pod; a run that waits for it has its place."""
    return status.reason == Reason.QUOTA_EXCEEDED and status.queue is None


def is_answered(run: StrategyRun) -> bool:
    """Whether nothing is left to say of the run as it stands."""
    status = run.status
    if status is None or not status.final or not is_acknowledged(status, run):
        return False
    return status.inputs_hash == inputs_hash(run)


def expiry(run: StrategyRun, job: JobObservation) -> datetime | None:
    """Return until when an ended Job is kept, which is for some time after its run's answer; None while it has not
    ended, or if it is on its way out."""
    if job.finished_at is None or job.deleting or job.run_uid != run.uid:
        return None
    answered_at = run.status.finished_at if run.status and run.status.finished_at else job.finished_at
    return max(job.finished_at, answered_at) + timedelta(seconds=run.spec.ttl_seconds_after_finished)


def is_to_stop(job: JobObservation | None, uid: str, pods: Iterable[PodObservation]) -> bool:
    """Whether a Job that was to be stopped still is, by what its pods are now: one that ended and stays has a log."""
    stay = [pod for pod in pods if not pod.deleting]
    return job is not None and job.uid == uid and job.can_run(stay)


def give_up(run: StrategyRun, now: datetime, why: str) -> StrategyRunStatus:
    """Return the least there is to say of a run whose status the API server will not take: that it failed, and why."""
    bare = run.model_copy(update={"status": None})
    fault = Fault(Reason.POLICY_DENIED, f"the API server refuses the status of this run: {why}")
    return fail(accept(bare, inputs_hash(run), now), bare, now, fault)


def _decide(seen: Seen, now: datetime) -> Decision:
    run = seen.run
    if run.deleting:
        return Decision(run.status, _tidy(seen))
    wanted = inputs_hash(run)
    status = run.status
    if status is None or status.inputs_hash != wanted:
        status = accept(run, wanted, _first_seen(seen, wanted) or now)
    elif not is_acknowledged(status, run):
        status = acknowledge(status, run)
    status = put_right(status, now)
    if status.final:
        return Decision(status, _tidy(seen))
    if run.unreadable:
        fault = Fault(Reason.SPEC_INVALID, run.unreadable.complaint)
        return Decision(fail(status, run, now, fault), _tidy(seen))
    attempt = _open_attempt(status)
    if run.spec.cancel:
        return Decision(_interrupted(seen, status, now, Phase.CANCELLED, Reason.CANCELLED), _tidy(seen))
    if run.spec.suspend and not (attempt and _is_over(seen, attempt)):
        return Decision(_interrupted(seen, status, now, Phase.QUEUED, Reason.SUSPENDED), _tidy(seen))
    if attempt is None:
        return _begin(seen, status, now)
    return _follow(seen, status, attempt, now)


def _begin(seen: Seen, status: StrategyRunStatus, now: datetime) -> Decision:
    """Admit the first attempt, or the next one after an interruption."""
    run, tidy = seen.run, _tidy(seen)
    if (due := _due(status)) and now < due:
        return Decision(status, tidy, wake_at=due)
    vetted = _current(seen, status, now)
    if vetted is None:
        return _await_vetting(seen, status, now)
    if vetted.missing:
        return _await_inputs(seen, status, vetted.missing, now)
    if fault := _refusal(run, status, vetted):
        return Decision(fail(status, run, now, fault), tidy)
    profile = seen.profile
    if profile is None:
        return _await_inputs(seen, status, Fault(Reason.PROFILE_MISSING, _no_profile(run)), now)
    if not profile.allows(run.namespace):
        message = f"SandboxProfile {profile.name} is not for namespace {run.namespace}"
        return Decision(fail(status, run, now, Fault(Reason.PROFILE_DENIED, message)), tidy)
    executor = Executor.FALLBACK if status.fallback else Executor.SANDBOX
    if status.fallback and vetted.gate:
        fault = Fault(Reason(status.fallback.trigger), status.fallback.message)
        return Decision(fail(gated(status, status.fallback, vetted.gate), run, now, fault), tidy)
    if executor is Executor.SANDBOX and profile.obstacle:
        return _await_sandbox(seen, status, profile, profile.obstacle, now)
    number = status.attempts[-1].number + 1 if status.attempts else 1
    name = naming.job_name(run, status.inputs_hash, number)
    attempt = Attempt(number=number, executor=executor, job_name=name, created_at=now)
    if any(_can_run(job, seen) for job in seen.jobs):  # of an earlier evaluation
        return Decision(status, tidy)
    if unconfirmed := _unconfirmed(seen, status):
        return Decision(status, (unconfirmed,))
    if seen.place.position:
        return Decision(_in_line(status, run, seen.place, now, kind=vetted.reading.kind), tidy)
    begun = advance(
        status,
        run,
        now,
        Phase.STARTING,
        _POD_STARTS.reason,
        _POD_STARTS.message,
        executor=executor,
        kind=vetted.reading.kind,
        attempts=begin(status, attempt),
        provenance=_provenance(run, vetted.code, profile, executor),
        fallback=status.fallback.model_copy(update={"used": True}) if status.fallback else None,
    )
    return Decision(begun, (*tidy, *_launch(seen, attempt, vetted, profile)))


def _await_vetting(seen: Seen, status: StrategyRunStatus, now: datetime) -> Decision:
    """Have the source checked, unless it was and the run stands in line.

    Until the status speaks of these inputs, the Job of the earlier ones is not touched: they may come back.
    """
    run = seen.run
    if status.reason in _LACKS:
        return _vet(seen, status, now)
    if seen.place.position and status.kind:
        return Decision(_in_line(status, run, seen.place, now), _tidy(seen))
    if why := _unchecked(seen, now):
        told = _vet(seen, advance(status, run, now, Phase.QUEUED, Reason.VETTING, why), now)
        return replace(told, acts=(*told.acts, *_tidy(seen)))
    return _vet(seen, run.status or _acknowledged(status, run, seen.place, now), now)


def _vet(seen: Seen, status: StrategyRunStatus, now: datetime) -> Decision:
    """Have the source checked, after a pause where that came to nothing."""
    if (vain := _vain(seen, now)) and _within(vain.pause, vain.at, now):
        return Decision(status, wake_at=vain.at + vain.pause)
    return Decision(status, (Vet(),))


def _unchecked(seen: Seen, now: datetime) -> str | None:
    """Return why the source could not be checked several times in a row, if so."""
    vain = _vain(seen, now)
    return f"the source cannot be checked yet: {vain.why}" if vain and vain.times >= VAIN_VETTINGS else None


def _vain(seen: Seen, now: datetime) -> Vain | None:
    """Return the last vetting of the run's inputs, if it came to nothing just now."""
    vain = seen.vain
    return vain if vain and vain.holds(inputs_hash(seen.run), now) else None


def _follow(seen: Seen, status: StrategyRunStatus, attempt: Attempt, now: datetime) -> Decision:
    """Watch an attempt whose intent is on record."""
    run, tidy = seen.run, _tidy(seen, attempt)
    job = next((job for job in seen.jobs if job.name == attempt.job_name), None)
    if job is None:
        return _without_job(seen, status, attempt, now)
    if job.run_uid != run.uid:
        return _ended(seen, status, now, Fault(Reason.NAME_CONFLICT, f"Job {job.name} is not this run's"))
    if job.attempt_created_at != rfc3339(attempt.created_at):
        message = "the Job of an earlier evaluation of these inputs is being deleted"
        waits = advance(status, run, now, Phase.STARTING, Reason.STARTING, message)
        return Decision(waits, (*tidy, *_deletions([job])))
    pod = max(filter(job.has, seen.pods), key=lambda pod: pod.created_at, default=None)
    began = _began(attempt, job)
    match judge(job, pod, podless=job.uid in seen.podless, began=began, trouble=seen.trouble):
        case Pending() if began and not job.suspended:
            return Decision(status, tidy)  # the sight of its pod is older than the record, or the pod is gone
        case Pending() as pending:
            return _await_start(seen, status, job, pod, pending, now)
        case Running():
            return Decision(_running(seen, status, job, pod, now), tidy)
        case Lingering() as lingering:
            return _await_end(seen, status, job, pod, lingering, now)
        case Unseen():
            return Decision(status, (*tidy, FindPod(job.uid)))
        case Success() as success:
            return _conclude(seen, status, job, success, now)
        case Fault(Reason.JOB_VANISHED) if run.kueue_queue and pod and pod.uid not in seen.answered_for:
            # Kueue suspends a Job before its pod is deleted, and news of the pod may be here first.
            return Decision(status, (*tidy, ConfirmJob(job.name, job.uid, pod.uid)))
        case Fault() as fault:
            return _ended(seen, witness(status, job, pod), now, fault, pod)


def _await_start(
    seen: Seen,
    status: StrategyRunStatus,
    job: JobObservation,
    pod: PodObservation | None,
    pending: Pending,
    now: datetime,
) -> Decision:
    """Give a pod its time to start, say what it waits for, and end the attempt when the time is over."""
    run, profile, attempt = seen.run, seen.profile, status.attempts[-1]
    reason, message = pending.reason, pending.message
    if profile and profile.obstacle and reason is Reason.UNSCHEDULABLE and attempt.executor is Executor.SANDBOX:
        reason, message = profile.obstacle.reason, profile.obstacle.message
    if reason is Reason.QUOTA_EXCEEDED:
        return _ended(seen, witness(status, job, pod), now, Fault(reason, message), pod)
    tidy = _tidy(seen, attempt)
    if job.suspended:
        held = advance(witness(status, job, pod), run, now, Phase.QUEUED, reason, message)
        return Decision(held, tidy)
    limit = start_seconds(run, profile.sandbox) if profile else int(PROFILE_PATIENCE.total_seconds())
    # The API server stamps one, a controller the other.
    since = seen.waited_since(max(job.created_at, job.released_at or job.created_at))
    deadline = since + timedelta(seconds=limit)
    if now >= deadline:
        return _ended(seen, witness(status, job, pod), now, _overdue(reason, message, limit), pod)
    if reason is not Reason.STARTING or status.reason != reason:
        status = advance(witness(status, job, pod), run, now, Phase.STARTING, reason, message)
    if reason not in _EVENTS_TELL:
        return Decision(status, tidy, wake_at=deadline)
    uid, known = (pod.uid if pod else job.uid), seen.trouble
    told = known if known and known.uid == uid and _within(TROUBLE_POLL, known.at, now) else None
    look_at = max(since + TROUBLE_AFTER, told.at + TROUBLE_POLL if told else since)
    if now >= look_at:
        return Decision(status, (*tidy, FindTrouble(uid)), wake_at=min(deadline, now + TROUBLE_POLL))
    return Decision(status, tidy, wake_at=min(deadline, look_at))


def _await_end(
    seen: Seen,
    status: StrategyRunStatus,
    job: JobObservation,
    pod: PodObservation | None,
    lingering: Lingering,
    now: datetime,
) -> Decision:
    """Give a node its time to end a pod; when that is over, end the attempt and leave the pod to the node.

    Until it has ended, the Job controller does not say that the Job has failed.
    """
    deadline = seen.waited_since(lingering.gone_by) + NODE_PATIENCE
    if now < deadline:
        tidy = _tidy(seen, status.attempts[-1])
        return Decision(_running(seen, status, job, pod, now), tidy, wake_at=deadline)
    message = f"the node has not ended the pod {NODE_PATIENCE.seconds} s after its deadline"
    return _ended(seen, witness(status, job, pod), now, Fault(lingering.reason, message), pod)


def _conclude(seen: Seen, status: StrategyRunStatus, job: JobObservation, success: Success, now: datetime) -> Decision:
    """Keep the full report while the pod is there, then record the answer."""
    run, pod = seen.run, success.pod
    if fault := look_ahead_fault(run, success):
        return _ended(seen, witness(status, job, pod), now, fault, pod)
    kept = seen.kept if seen.kept and seen.kept.job_uid == job.uid else None
    wanted = success.report.hashes.report if run.spec.report is ReportPolicy.KEEP else None
    if wanted and kept is None:
        until = seen.waited_since(job.finished_at or now) + REPORT_PATIENCE
        return Decision(status, (KeepReport(job.uid, pod.name, wanted, until),))
    kept = kept or Kept(job.uid)
    closed = close_attempt(witness(status, job, pod), now, Reason.EVALUATED)
    return Decision(succeed(closed, run, now, success, kept.reference, kept.lost), _tidy(seen))


def _without_job(seen: Seen, status: StrategyRunStatus, attempt: Attempt, now: datetime) -> Decision:
    """Create the Job that is on record, unless it was there already and somebody deleted it."""
    run = seen.run
    if attempt.job_uid is not None:
        if attempt.job_uid not in seen.gone:
            return Decision(status, (ConfirmJob(attempt.job_name, attempt.job_uid),))
        return _ended(seen, status, now, Fault(Reason.JOB_VANISHED, f"Job {attempt.job_name} was deleted"))
    if seen.refused:
        return _ended(seen, status, now, seen.refused)
    vetted = _current(seen, status, now)
    if vetted is None:
        if why := _unchecked(seen, now):
            status = advance(status, run, now, Phase.STARTING, Reason.STARTING, why)
        return _vet(seen, status, now)
    if fault := _refusal(run, status, vetted):
        return _ended(seen, status, now, fault)
    profile = seen.profile
    if profile is None:
        return _ended(seen, status, now, Fault(Reason.PROFILE_MISSING, _no_profile(run)))
    waits = seen.hindered or _POD_STARTS
    deadline = seen.waited_since(attempt.created_at) + _patience(profile)
    if waits.reason is not Reason.STARTING and now >= deadline:
        return _ended(seen, status, now, Fault(waits.reason, waits.message))
    status = advance(status, run, now, Phase.STARTING, waits.reason, waits.message)
    return Decision(status, _launch(seen, attempt, vetted, profile))


def _await_inputs(seen: Seen, status: StrategyRunStatus, missing: Fault, now: datetime) -> Decision:
    """Give a source, a dataset or a profile that is applied beside the run time to appear."""
    run = seen.run
    since = (seen.reason_since or status.accepted_at or now) if status.reason == missing.reason else now
    if now >= seen.waited_since(since) + _patience(seen.profile):
        return Decision(fail(status, run, now, missing), _tidy(seen))
    waiting = advance(status, run, now, Phase.QUEUED, missing.reason, missing.message)
    return Decision(waiting, _tidy(seen), wake_at=now + SOURCE_POLL)


def _await_sandbox(
    seen: Seen, status: StrategyRunStatus, profile: Profile, obstacle: Obstacle, now: datetime
) -> Decision:
    """Hold back a run while no node can take it, for as long as a pod would have to start."""
    deadline = seen.waited_since(max(status.accepted_at or now, obstacle.since)) + _patience(profile)
    if now >= deadline:
        return _unavailable(seen, status, now, Fault(obstacle.reason, obstacle.message))
    waiting = advance(status, seen.run, now, Phase.QUEUED, obstacle.reason, obstacle.message)
    return Decision(waiting, _tidy(seen), wake_at=deadline)


def _launch(seen: Seen, attempt: Attempt, vetted: Vetted, profile: Profile) -> tuple[Create, ...]:
    run, inputs = seen.run, build_inputs(seen.run, vetted.code, vetted.reading.kind, profile.sandbox)
    snapshot = Create(build_snapshot(run, inputs))
    job = Create(build_job(run, attempt, inputs=inputs, nonce=seen.nonce, profile=profile))
    # The policy every time: that it was there once says nothing of a namespace that was made anew.
    return (Create(deny_all(run.namespace)), snapshot, job)


def _ended(
    seen: Seen, status: StrategyRunStatus, now: datetime, fault: Fault, pod: PodObservation | None = None
) -> Decision:
    """Repeat after a failure of the platform while the limit allows; else the run has no more attempts."""
    run, tidy = seen.run, _tidy(seen)
    closed = close_attempt(status, now, fault.reason, fault.message)
    if fault.reason is Reason.QUOTA_EXCEEDED:
        waiting = advance(closed, run, now, Phase.QUEUED, fault.reason, fault.message)
        return Decision(waiting, tidy, wake_at=now + QUOTA_POLL)
    of_platform = FAILURES[fault.reason].class_ is FailureClass.PLATFORM
    if of_platform and _failures_of_platform(closed) <= run.spec.retry.limit:
        message = f"{fault.reason}: {fault.message}"
        again = advance(closed, run, now, Phase.QUEUED, Reason.RETRYING, message)
        return Decision(again, tidy, wake_at=_due(again))
    return _unavailable(seen, closed, now, fault, pod)


def _unavailable(
    seen: Seen, status: StrategyRunStatus, now: datetime, fault: Fault, pod: PodObservation | None = None
) -> Decision:
    """Turn to the fallback if the sandbox could not start and no line of the strategy has run; else fail."""
    run, profile = seen.run, seen.profile
    untouched = not has_begun(status) and (pod is None or not (pod.strategy.started_at or pod.strategy.running))
    wanted = (
        run.spec.fallback.policy is FallbackPolicy.ON_SANDBOX_UNAVAILABLE and profile and profile.sandbox.falls_back
    )
    dataset = run.spec.datasets[0]
    # What the author mounts can keep a container from being made, and an image of his own from being pulled.
    chosen = (fault.reason is Reason.CONTAINER_CONFIG_ERROR and dataset.builtin is None) or (
        fault.reason is Reason.IMAGE_PULL_FAILED and dataset.image is not None
    )
    if fault.reason in STARTS_FALLBACK and not chosen and untouched and wanted and status.fallback is None:
        told = FallbackStatus(used=False, trigger=fault.reason, message=clean(fault.message, LINE_LIMIT))
        message = f"{fault.reason}: {fault.message}"
        again = advance(status, run, now, Phase.QUEUED, Reason.FALLING_BACK, message, fallback=told)
        return Decision(again, _tidy(seen), wake_at=now)
    return Decision(fail(status, run, now, fault, pod), _tidy(seen))


def _running(
    seen: Seen, status: StrategyRunStatus, job: JobObservation, pod: PodObservation | None, now: datetime
) -> StrategyRunStatus:
    """Return the status of a run whose strategy, or its evaluation, goes on."""
    return advance(witness(status, job, pod), seen.run, now, Phase.RUNNING, Reason.RUNNING, "the strategy runs")


def _interrupted(
    seen: Seen, status: StrategyRunStatus, now: datetime, phase: Phase, reason: Reason
) -> StrategyRunStatus:
    """Return the status of a run that its user holds back or ends."""
    field = "suspend" if reason is Reason.SUSPENDED else "cancel"
    message = f"spec.{field} is set"
    closed = close_attempt(status, now, reason, message) if _open_attempt(status) else status
    changes = {"summary": Summary(duration=duration(status, now))} if phase.final else {}
    return advance(closed, seen.run, now, phase, reason, message, **changes)


def _acknowledged(status: StrategyRunStatus, run: StrategyRun, place: Place, now: datetime) -> StrategyRunStatus:
    """Return the first status of a run: whoever applies a thousand sees each taken note of, before any is vetted."""
    if place.position:
        return _in_line(status, run, place, now)
    return advance(status, run, now, Phase.QUEUED, Reason.VETTING, "the source is being checked")


def _in_line(
    status: StrategyRunStatus, run: StrategyRun, place: Place, now: datetime, **known: Any
) -> StrategyRunStatus:
    """Return the status of a run that waits; far from the head of the line its place is not written at every step.

    Its kind says that the source was vetted: whoever takes the run over vets it again when it is its turn.
    """
    before, position = (status.queue.position if status.queue else 0), place.position
    shown = before if 10 < position <= before < 2 * position else position
    reason = Reason.QUOTA_EXCEEDED if place.quota else Reason.WAITING_FOR_SLOT
    queue = QueueStatus(position=shown, reason=place.reason)
    return advance(status, run, now, Phase.QUEUED, reason, place.reason, queue=queue, **known)


def _provenance(run: StrategyRun, code: bytes, profile: Profile, executor: Executor) -> Provenance:
    sandboxed, seccomp = executor is Executor.SANDBOX, profile.seccomp
    return Provenance(
        code_sha256=digest(code),
        params_sha256=digest(canonical(run.spec.params)),
        seccomp_sha256=seccomp.sha256 if sandboxed else None,
        isolation=Isolation(
            seccomp=seccomp.localhost_profile if sandboxed else "RuntimeDefault",
            network_policy=profile.network,
            runtime_class=profile.sandbox.runtime_class_name if sandboxed else None,
        ),
    )


def _open_attempt(status: StrategyRunStatus) -> Attempt | None:
    """Return the attempt that is under way."""
    last = status.attempts[-1] if status.attempts else None
    return last if last and last.finished_at is None else None


def _began(attempt: Attempt, job: JobObservation) -> bool:
    """Whether the strategy is on record as begun, since its Job was last let go."""
    return attempt.started_at is not None and not (job.released_at and attempt.started_at < job.released_at)


def _is_over(seen: Seen, attempt: Attempt) -> bool:
    """Whether the pod of an attempt has ended: its answer is worth more than a wish to wait."""
    return any(job.is_over(seen.pods) for job in seen.jobs if job.name == attempt.job_name)


def _failures_of_platform(status: StrategyRunStatus) -> int:
    """Count the attempts that the platform ended."""
    reasons = [Reason(attempt.reason) for attempt in status.attempts if attempt.reason in FAILURES]
    return sum(FAILURES[reason].class_ is FailureClass.PLATFORM for reason in reasons) - reasons.count(
        Reason.QUOTA_EXCEEDED
    )


def _patience(profile: Profile | None) -> timedelta:
    """Return how long a run waits for what its pod needs: as long as the pod itself would have to start."""
    return timedelta(seconds=profile.sandbox.timeouts.start_seconds) if profile else PROFILE_PATIENCE


def _no_profile(run: StrategyRun) -> str:
    return f"there is no SandboxProfile {run.spec.profile} that can be used"


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
    """Return when the next attempt may begin, if the platform ended one."""
    last = status.attempts[-1] if status.attempts else None
    if last is None or last.finished_at is None or not (failures := _failures_of_platform(status)):
        return None
    return last.finished_at + RETRY_BACKOFF * (1 << (failures - 1))


def _within(length: timedelta, moment: datetime, now: datetime) -> bool:
    """Whether something was that recently; what lies in the future was not."""
    return timedelta(0) <= now - moment < length


def _current(seen: Seen, status: StrategyRunStatus, now: datetime) -> Vetted | None:
    """Return the source if it is the one of these inputs; one that was missing is looked for again."""
    vetted = seen.vetted
    if vetted is None or vetted.inputs_hash != status.inputs_hash:
        return None
    if vetted.missing and not _within(SOURCE_POLL, vetted.at, now):
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


def _can_run(job: JobObservation, seen: Seen) -> bool:
    """Whether a strategy may run or start under this Job of the run."""
    return job.run_uid == seen.run.uid and job.can_run(seen.pods)


def _unconfirmed(seen: Seen, status: StrategyRunStatus) -> ConfirmJob | None:
    """Return the question whether the Job of the attempt before is gone, unless it is in sight or somebody has looked.

    A list may be old, finalizers may keep what was deleted, and a Job that was refused may have been made before.
    """
    last = status.attempts[-1] if status.attempts else None
    if last is None or (last.job_uid or last.job_name) in seen.gone:
        return None
    if any(job.uid == last.job_uid or (last.job_uid is None and job.name == last.job_name) for job in seen.jobs):
        return None
    return ConfirmJob(last.job_name, last.job_uid)


def _tidy(seen: Seen, attempt: Attempt | None = None) -> tuple[Act, ...]:
    """Take away what the run does not need: Jobs other than the attempt's; snapshots when there is no attempt."""
    name = attempt.job_name if attempt else None
    jobs = [job for job in seen.jobs if job.name != name and _can_run(job, seen) and not job.deleting]
    stops = (StopJob(job.name, job.uid) for job in jobs)
    return (*stops, *(() if attempt else _snapshot_deletions(seen)))


def _expired(
    seen: Seen, status: StrategyRunStatus | None, now: datetime
) -> tuple[list[JobObservation], datetime | None]:
    """Return the Jobs that have been kept long enough, and when the next has been; not that of an open attempt."""
    run = seen.run.model_copy(update={"status": status})
    attempt = _open_attempt(status) if status else None
    others = [job for job in seen.jobs if attempt is None or job.name != attempt.job_name]
    ends = [(end, job) for job in others if (end := expiry(run, job))]
    return [job for end, job in ends if end <= now], min((end for end, _ in ends if end > now), default=None)


def _deletions(jobs: list[JobObservation]) -> tuple[DeleteJob, ...]:
    return tuple(DeleteJob(job.name, job.uid) for job in jobs if not job.deleting)


def _snapshot_deletions(seen: Seen) -> tuple[DeleteSnapshot, ...]:
    return tuple(DeleteSnapshot(name) for name in sorted(seen.snapshots))
