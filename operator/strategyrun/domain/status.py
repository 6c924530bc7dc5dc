"""The next status of a run: computed whole from facts, so that computing it twice changes nothing.

Every text passes through here on its way into a status, and is cleaned and cut here.
"""

import math
from datetime import datetime, timedelta
from typing import Any, Literal

from strategyrun.domain.observation import JobObservation, PodObservation
from strategyrun.domain.outcomes import FAILURES, Reason, named
from strategyrun.domain.report import LastWords, Report, parse_last_words
from strategyrun.domain.strategyrun import (
    HISTORY_LIMIT,
    Attempt,
    Condition,
    ConditionType,
    Equity,
    Failure,
    FallbackStatus,
    Finding,
    LookAheadAction,
    LookAheadFound,
    Metrics,
    PastOutcome,
    Phase,
    Provenance,
    ReportReference,
    SelfReported,
    StrategyRun,
    StrategyRunStatus,
    Summary,
    Timings,
)
from strategyrun.domain.text import LINE_LIMIT, LINES_LIMIT, clean
from strategyrun.domain.verdict import Fault, Success
from strategyrun.domain.vetting import Flaw, Kind

Truth = Literal["True", "False", "Unknown"]

_WORD_LIMIT = 64
_WARNING_LIMIT = 150
_ATTEMPT_LIMIT = 100
_FINDING_LIMIT = 180
_OUTPUT_LIMIT = 14
_GATE_LIMIT, _GATE_HINT_LIMIT = 5, 100
_EQUITY_DIGITS = 6


def accept(run: StrategyRun, inputs_hash: str, now: datetime) -> StrategyRunStatus:
    """Begin the status of new inputs; the answer to earlier ones moves to the history."""
    before = run.status
    history: tuple[PastOutcome, ...] = ()
    if before is not None:
        past = (_past(before), *before.history) if before.final else before.history
        history = past[:HISTORY_LIMIT]
    status = StrategyRunStatus(
        observed_generation=run.generation,
        observed_rerun=run.rerun_shown,
        phase=Phase.QUEUED,
        reason=Reason.WAITING_FOR_SLOT,
        inputs_hash=inputs_hash,
        conditions=before.conditions if before else (),
        accepted_at=now,
        history=history,
    )
    return advance(status, run, now, Phase.QUEUED, Reason.WAITING_FOR_SLOT, "waiting for a free slot")


def acknowledge(status: StrategyRunStatus, run: StrategyRun) -> StrategyRunStatus:
    """Say that the status of the same inputs holds for the run's present generation too, and which rerun it answers;
    the status of an earlier operator does not say the latter.
    """
    seen = {"observed_generation": run.generation}
    conditions = tuple(condition.model_copy(update=seen) for condition in status.conditions)
    return status.model_copy(update={**seen, "observed_rerun": run.rerun_shown, "conditions": conditions})


def is_acknowledged(status: StrategyRunStatus, run: StrategyRun) -> bool:
    """Whether the status says that it holds for the run as it stands."""
    return (status.observed_generation, status.observed_rerun) == (run.generation, run.rerun_shown)


LEEWAY = timedelta(seconds=2)
"""Two operators may think of the API server's clock so differently."""


def put_right(status: StrategyRunStatus, now: datetime) -> StrategyRunStatus:
    """Let a wait begin now that would begin in the future: a clock has gone back, and how long it lasts is all that is
    known of it. An answer stays as it is.
    """
    if status.final:
        return status
    if status.accepted_at and status.accepted_at > now + LEEWAY:
        status = status.model_copy(update={"accepted_at": now})
    ended = status.attempts[-1].finished_at if status.attempts else None
    return _with_last_attempt(status, {"finished_at": now}) if ended and ended > now + LEEWAY else status


ATTEMPTS_LIMIT = 6
"""Attempts that a status keeps: as many as can fail. A run may wait more often than that."""

_WAITS = frozenset({Reason.QUOTA_EXCEEDED.value, Reason.SUSPENDED.value})
"""Ends of attempts that no limit counts."""


def advance(
    status: StrategyRunStatus,
    run: StrategyRun,
    now: datetime,
    phase: Phase,
    reason: Reason,
    message: str,
    **changes: Any,
) -> StrategyRunStatus:
    """Move a status on; conditions, hint and generation follow from what it says then."""
    outcome = FAILURES.get(reason)
    moved = status.model_copy(
        update={
            "observed_generation": run.generation,
            "phase": phase,
            "reason": reason,
            "message": _said(message, reason),
            "hint": _hint(outcome.hint, status, run) if outcome else None,
            "finished_at": now if phase.final else None,
            "queue": None,
            **changes,
        }
    )
    return moved.model_copy(update={"conditions": _conditions(moved, now)})


def begin(status: StrategyRunStatus, attempt: Attempt) -> tuple[Attempt, ...]:
    """Return the attempts with one more, and beyond the limit one less: none that failed, for retries are counted by
    these; of what led to the fallback the status speaks elsewhere."""
    told = {*_WAITS, status.fallback.trigger if status.fallback else None}
    spare = [each for each in status.attempts if each.reason in told]
    dropped = (*spare, *status.attempts)[0] if len(status.attempts) >= ATTEMPTS_LIMIT else None
    return (*(each for each in status.attempts if each is not dropped), attempt)


def has_begun(status: StrategyRunStatus) -> bool:
    """Whether a line of the strategy has run for these inputs, be the attempt still on record or not."""
    known = any((each.type, each.status) == (ConditionType.STARTED, "True") for each in status.conditions)
    return any(attempt.started_at for attempt in status.attempts) or (known and bool(status.attempts))


def _said(message: str, reason: Reason) -> str:
    """Clean a message; without words it is what the reason means."""
    return clean(message) or (FAILURES[reason].meaning if reason in FAILURES else str(reason))


def _hint(text: str, status: StrategyRunStatus, run: StrategyRun) -> str:
    pod = (status.attempts[-1].pod_name if status.attempts else None) or "POD"
    return named(text, namespace=run.namespace, run=run.name, pod=pod)


def witness(status: StrategyRunStatus, job: JobObservation, pod: PodObservation | None) -> StrategyRunStatus:
    """Put on record which Job and pod carry the last attempt."""
    changes: dict[str, Any] = {"job_uid": job.uid}
    if pod is not None:
        changes |= {"pod_name": pod.name, "node": pod.node, "started_at": pod.strategy.started_at}
    return _with_last_attempt(status, changes)


def close_attempt(status: StrategyRunStatus, now: datetime, reason: Reason, message: str = "") -> StrategyRunStatus:
    """Put on record how the last attempt ended."""
    said = clean(message, _ATTEMPT_LIMIT) or None
    return _with_last_attempt(status, {"finished_at": now, "reason": reason, "message": said})


def succeed(
    status: StrategyRunStatus,
    run: StrategyRun,
    now: datetime,
    success: Success,
    kept: ReportReference | None = None,
    lost: str | None = None,
) -> StrategyRunStatus:
    """Record the evaluator's answer, or what a script says of itself.

    `kept` is where the full report is, `lost` why it is nowhere.
    """
    report, pod, words = success.report, success.pod, success.words
    warnings = [*report.warnings, *(words.warnings if words else ())]
    if lost:
        warnings.append(f"report: {lost}")
    facts: dict[str, Any] = {
        "timings": _timings(status, pod, report),
        "provenance": _provenance(status, pod, report),
    }
    if report.verdict == "Unscored":
        reason, message, told = _unscored(status, now, words)
        facts |= told
    else:
        metrics = Metrics.model_validate(report.metrics.document())
        reason, message = Reason.EVALUATED, f"scored {metrics.days} days" if metrics.days is not None else "scored"
        found = _look_ahead(run, words)
        if found and found.changed:
            warnings.insert(0, _accusation(found))
        facts |= {
            "metrics": metrics,
            "summary": _summary(metrics, duration(status, now)),
            "look_ahead": found,
            "equity": _equity(report),
            "report": kept,
        }
    facts["warnings"] = tuple(clean(warning, _WARNING_LIMIT) for warning in warnings)
    return advance(status, run, now, Phase.SUCCEEDED, reason, message, **facts)


def look_ahead_fault(run: StrategyRun, success: Success) -> Fault | None:
    """Return why a scored run fails all the same, where its positions saw the future and the user asked for it."""
    found = _look_ahead(run, success.words) if success.report.verdict == "Evaluated" else None
    if not found or not found.changed or run.spec.evaluation.look_ahead.action is not LookAheadAction.FAIL:
        return None
    return Fault(Reason.LOOK_AHEAD_DETECTED, _accusation(found))


def fail(
    status: StrategyRunStatus, run: StrategyRun, now: datetime, fault: Fault, pod: PodObservation | None = None
) -> StrategyRunStatus:
    """Record a failure with its class, its reason and what the strategy said last."""
    outcome = FAILURES[fault.reason]
    message = _said(fault.message, fault.reason)
    failure = Failure(
        class_=outcome.class_,
        reason=fault.reason,
        message=message,
        exit_code=fault.exit_code,
        signal=clean(fault.signal, _WORD_LIMIT) if fault.signal else None,
        last_lines=tuple(clean(line, LINE_LIMIT) for line in fault.last_lines[-LINES_LIMIT:]),
        findings=_findings(fault.flaws),
    )
    return advance(
        status,
        run,
        now,
        Phase.FAILED,
        fault.reason,
        message,
        failure=failure,
        summary=Summary(duration=duration(status, now)),
        look_ahead=_look_ahead(run, parse_last_words(pod.strategy.message))
        if pod and fault.reason is Reason.LOOK_AHEAD_DETECTED
        else None,
        timings=_timings(status, pod) if pod else None,
        provenance=_provenance(status, pod) if pod else status.provenance,
    )


def gated(status: StrategyRunStatus, told: FallbackStatus, gate: tuple[Flaw, ...]) -> StrategyRunStatus:
    """Put on record why the strict gate does not let a source into the fallback: the first few findings."""
    few = _findings(gate[:_GATE_LIMIT], _GATE_HINT_LIMIT)
    return status.model_copy(update={"fallback": told.model_copy(update={"findings": few})})


def _findings(flaws: tuple[Flaw, ...], limit: int = _FINDING_LIMIT) -> tuple[Finding, ...]:
    return tuple(Finding(line=flaw.line, rule=flaw.rule, hint=clean(flaw.hint, limit)) for flaw in flaws)


def _unscored(status: StrategyRunStatus, now: datetime, words: LastWords | None) -> tuple[Reason, str, dict[str, Any]]:
    """Return reason, message and facts of a script that hands over no positions."""
    facts: dict[str, Any] = {"summary": Summary(duration=duration(status, now))}
    if status.kind is Kind.RESULT:
        values = (words.result if words else None) or {}
        cleaned = {clean(name, _WORD_LIMIT): number for name, number in values.items()}
        message = "numbers of the script's own; nobody has checked them"
        return Reason.SELF_REPORTED, message, facts | {"self_reported": SelfReported(values=cleaned)}
    lines = words.last_lines[-_OUTPUT_LIMIT:] if words else ()
    facts["output"] = tuple(clean(line, LINE_LIMIT) for line in lines)
    return Reason.SCRIPT_COMPLETED, "the script ended well; it handed over no positions", facts


def _look_ahead(run: StrategyRun, words: LastWords | None) -> LookAheadFound | None:
    """Return what the guard found; where it should have looked and has not said anything, that nothing was tried."""
    wanted = run.spec.evaluation.look_ahead
    if wanted.action is LookAheadAction.OFF:
        return None
    if words is None or words.look_ahead is None:
        return LookAheadFound(samples=wanted.samples, checked=0, changed=0, note="the check did not end")
    said = words.look_ahead
    return LookAheadFound(
        samples=said.samples,
        checked=said.checked,
        changed=said.changed,
        first_date=said.first_date,
        symbol=clean(said.symbol, _WORD_LIMIT) if said.symbol else None,
        note=clean(said.note, LINE_LIMIT) or None,
        deterministic=said.deterministic,
    )


def _accusation(found: LookAheadFound) -> str:
    where = f"the first is {found.symbol} on {found.first_date}" if found.symbol and found.first_date else "unnamed"
    return f"lookAhead: positions change with later prices in {found.changed} of {found.checked} tries; {where}"


def _equity(report: Report) -> Equity | None:
    curve = report.equity
    if curve is None:
        return None
    values = tuple(float(f"{value:.{_EQUITY_DIGITS}g}") for value in curve.values)
    return Equity(first_day=curve.first_day, last_day=curve.last_day, values=values)


def _with_last_attempt(status: StrategyRunStatus, changes: dict[str, Any]) -> StrategyRunStatus:
    *earlier, last = status.attempts
    known = {name: value for name, value in changes.items() if value is not None}
    return status.model_copy(update={"attempts": (*earlier, last.model_copy(update=known))})


def _conditions(status: StrategyRunStatus, now: datetime) -> tuple[Condition, ...]:
    before = {condition.type: condition for condition in status.conditions}
    return tuple(
        Condition(
            type=kind,
            status=truth,
            reason=reason,
            message=message,
            observed_generation=status.observed_generation,
            last_transition_time=before[kind].last_transition_time
            if kind in before and before[kind].status == truth
            else now,
        )
        for kind, truth, reason, message in _facts(status)
    )


def _facts(status: StrategyRunStatus) -> list[tuple[ConditionType, Truth, str, str]]:
    phase, reason = status.phase, status.reason
    started = has_begun(status)
    refused = phase is Phase.FAILED and not status.attempts
    vetted = bool(status.attempts or status.kind)
    accepted: Truth = "True" if vetted else "False" if refused else "Unknown"
    finished: Truth = "True" if phase.final else "False"
    succeeded: Truth = "True" if phase is Phase.SUCCEEDED else "False" if phase.final else "Unknown"
    facts: list[tuple[ConditionType, Truth, str, str]] = [
        (ConditionType.ACCEPTED, accepted, "CodeAccepted" if vetted else reason, ""),
        (ConditionType.STARTED, "True" if started else "False", "StrategyStarted" if started else reason, ""),
        (ConditionType.FINISHED, finished, reason, ""),
        (ConditionType.SUCCEEDED, succeeded, reason, status.message),
        (ConditionType.READY, succeeded, reason, ""),
        (ConditionType.STALLED, "True" if succeeded == "False" else "False", reason, ""),
    ]
    if fallback := status.fallback:
        used: Truth = "True" if fallback.used else "False"
        facts.append((ConditionType.FALLBACK_USED, used, fallback.trigger, fallback.message))
    if found := status.look_ahead:
        facts.append((ConditionType.LOOK_AHEAD_CLEAN, *_cleanliness(found)))
    return facts


def _cleanliness(found: LookAheadFound) -> tuple[Truth, str, str]:
    if found.changed:
        return "False", "PositionsChanged", _accusation(found)
    if not found.deterministic:
        return "Unknown", "NonDeterministic", found.note or ""
    if not found.checked:
        return "Unknown", "NotChecked", found.note or ""
    return "True", "PositionsHeld", found.note or f"no position changed in {found.checked} tries"


def _past(status: StrategyRunStatus) -> PastOutcome:
    return PastOutcome(
        inputs_hash=status.inputs_hash,
        phase=status.phase,
        reason=status.reason,
        finished_at=status.finished_at,
        summary=status.summary or Summary(),
        report=status.report,
    )


def duration(status: StrategyRunStatus, now: datetime) -> str:
    """Return the time from the acceptance of the inputs, as a column shows it."""
    return f"{(now - (status.accepted_at or now)).total_seconds():.1f}s"


def _summary(metrics: Metrics, duration: str) -> Summary:
    return Summary(
        sharpe=_rounded(metrics.sharpe, 2),
        total_return=_rounded(metrics.total_return, 1, times=100),
        max_drawdown=_rounded(metrics.max_drawdown, 1, times=100),
        trades="" if metrics.trades is None else str(metrics.trades),
        duration=duration,
    )


def _rounded(value: float | None, digits: int, *, times: int = 1) -> str:
    if value is None or not math.isfinite(value * times):
        return ""
    number = value * times
    return f"{number:.{digits}f}" if abs(number) < 1e12 else f"{number:.2e}"


def _timings(status: StrategyRunStatus, pod: PodObservation, report: Report | None = None) -> Timings:
    attempt = status.attempts[-1]
    words = parse_last_words(pod.strategy.message)
    seconds = words.seconds if words else {}
    inside = seconds.get("imports", 0.0) + seconds.get("strategy", 0.0) if seconds else None
    look_ahead = seconds.get("lookAhead")
    return Timings(
        queued=_between(status.accepted_at, attempt.created_at),
        scheduled=_between(pod.created_at, pod.scheduled_at),
        started=_between(pod.scheduled_at, pod.strategy.started_at),
        strategy=round(inside, 3) if inside is not None else None,
        look_ahead=round(look_ahead, 3) if look_ahead is not None else None,
        evaluated=round(report.seconds, 3) if report else None,
    )


def _between(start: datetime | None, end: datetime | None) -> float | None:
    if start is None or end is None:
        return None
    return round(max(0.0, (end - start).total_seconds()), 3)


def _provenance(status: StrategyRunStatus, pod: PodObservation, report: Report | None = None) -> Provenance:
    known = status.provenance or Provenance()
    changes: dict[str, Any] = {"node": pod.node, "image_id": pod.strategy.image_id}
    words = parse_last_words(pod.strategy.message)
    if words and words.walls and known.isolation:
        changes["isolation"] = known.isolation.model_copy(update={"landlock": words.walls.landlock})
    if report:
        changes |= {
            "code_sha256": report.hashes.code,
            "dataset_sha256": report.hashes.dataset,
            "positions_sha256": report.hashes.positions,
            "evaluator": clean(report.evaluator, _WORD_LIMIT),
        }
    return known.model_copy(update=changes)
