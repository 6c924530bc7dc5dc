"""Why a run is where it is, in words, and what to type next. A function of the run and the time."""

import shlex
from dataclasses import dataclass
from datetime import datetime

from strategyrun.cli.cells import since, span
from strategyrun.client import Result
from strategyrun.domain.outcomes import ENDS, FAILURES, Reason, named
from strategyrun.domain.strategyrun import TIMEOUT_CEILING_SECONDS

_OUTCOMES = {str(reason): outcome for reason, outcome in FAILURES.items()}


@dataclass(frozen=True)
class Explanation:
    """`headline` is a sentence; `facts` are more; `evidence` is what the strategy said; `next` are commands."""

    headline: str
    facts: tuple[str, ...]
    evidence: tuple[str, ...]
    next: tuple[str, ...]

    def document(self) -> dict[str, object]:
        """Return it for programs."""
        return {
            "headline": self.headline,
            "facts": [*self.facts],
            "evidence": [*self.evidence],
            "next": [*self.next],
        }


def explain(result: Result, now: datetime) -> Explanation:
    """Explain a run in whatever state it is."""
    evidence = _evidence(result)
    return Explanation(_headline(result), tuple(_facts(result, now)), evidence, tuple(_next(result)))


_STATES: dict[str, str] = {
    "NotSeen": "No operator has seen the run yet.",
    "WaitingForSlot": "All places are taken; it waits for one.",
    "Suspended": "It is held back: spec.suspend is true.",
    "QuotaExceeded": "It waits: a ResourceQuota of the namespace has no room for its pod.",
    "PodStarting": "Its pod is being brought to a node and started.",
    "StrategyRunning": "The strategy runs in its pod.",
    "Retrying": "The platform ended an attempt; another one begins.",
    "FallingBack": "The sandbox could not start; the strategy goes to the fallback.",
    **ENDS,
}
"""What a run does, for each reason that is no failure."""


def _headline(result: Result) -> str:
    if _held(result):
        return f"It waits: {result.message}."
    if result.reason == Reason.WAITING_FOR_SLOT and result.queue is None:
        return "It waits for its turn."
    if words := _STATES.get(result.reason):
        return words
    meaning = _meaning(result.reason) or result.message or result.reason
    what = meaning[0].lower() + meaning[1:]
    return f"It failed: {what}" if result.outcome else f"It waits, and this stands in its way: {what}"


def _held(result: Result) -> bool:
    """Whether it waits though its attempt has begun: its Job is held back, by Kueue as a rule."""
    begun = bool(result.attempts) and not result.attempts[-1].reason
    return result.reason == Reason.WAITING_FOR_SLOT and result.queue is None and begun


def _meaning(reason: str) -> str:
    return _OUTCOMES[reason].meaning if reason in _OUTCOMES else ""


_WHOSE = {
    "User": "The strategy is at fault; the same source will fail again.",
    "Sandbox": "What was to run the strategy is at fault, not the strategy.",
    "Platform": "The cluster is at fault, not the strategy.",
}


def _facts(result: Result, now: datetime) -> list[str]:
    facts = [*_standing(result, now), *_attempts(result), *_failure(result), *_fallback(result), *_look_ahead(result)]
    hint = result.hint or ("" if result.succeeded else _hint(result))
    return [*facts, f"What to do: {hint}"] if hint else facts


def _hint(result: Result) -> str:
    return _named(_OUTCOMES[result.reason].hint, result) if result.reason in _OUTCOMES else ""


def _named(text: str, result: Result) -> str:
    name, namespace, pod = (shlex.quote(each) for each in (result.name, result.namespace, result.pod or "POD"))
    return named(text, namespace=namespace, run=name, pod=pod)


def _standing(result: Result, now: datetime) -> list[str]:
    facts = []
    if result.message and result.message not in _headline(result):
        facts.append(f"In its own words: {result.message}")
    if not result.current and result.phase != "Pending":
        facts.append("It was changed, or asked for again, since; the operator has not taken note of that yet.")
    if (waited := since(result.accepted_at or result.created_at, now)) is not None and not result.finished:
        facts.append(f"It was asked for {span(waited)} ago.")
    if result.queue:
        place = f"Position in the line: {result.queue.position}" if result.queue.position else "In the line"
        facts.append(f"{place}{f' ({result.queue.reason})' if result.queue.reason else ''}.")
    return facts


def _attempts(result: Result) -> list[str]:
    return [
        f"Attempt {each.number} ended: {each.reason}{f', {each.message}' if each.message else ''}."
        for each in result.attempts[:-1]
        if each.reason
    ]


def _failure(result: Result) -> list[str]:
    if not (failure := result.failure):
        return []
    facts = [_WHOSE[failure.class_]] if failure.class_ in _WHOSE else []
    facts += [f"Exit code: {failure.exit_code}."] if failure.exit_code is not None else []
    return facts + ([f"Signal: {failure.signal}."] if failure.signal else [])


def _fallback(result: Result) -> list[str]:
    if not (fallback := result.fallback):
        return []
    used = "The fallback was used" if fallback.used else "The fallback was not used"
    return [f"{used}; what led to it: {fallback.trigger}{f', {fallback.message}' if fallback.message else ''}."]


def _look_ahead(result: Result) -> list[str]:
    facts = []
    if result.look_ahead and result.look_ahead.changed:
        facts.append("Its positions change with later prices: the numbers cannot be earned.")
    if result.look_ahead and not result.look_ahead.deterministic:
        facts.append("Its positions change from run to run: the numbers cannot be repeated.")
    return facts


def _evidence(result: Result) -> tuple[str, ...]:
    found = []
    if result.failure:
        found += [f"line {each.line}: {each.rule}: {each.hint}" for each in result.failure.findings]
        found += result.failure.last_lines
    if result.fallback and not result.fallback.used:
        found += [f"line {each.line}: not in the fallback: {each.hint}" for each in result.fallback.findings]
    return (*found, *result.output)


_COMMANDS: dict[str, tuple[str, ...]] = {
    "NotSeen": ("strategyrun doctor {ns}",),
    "WaitingForSlot": ("strategyrun list {ns}", "strategyrun wait {name} {ns}"),
    "Suspended": ('kubectl patch srun {name} {ns} --type merge --patch \'{{"spec":{{"suspend":false}}}}\'',),
    "QuotaExceeded": ("kubectl describe resourcequota {ns}",),
    "PodStarting": ("strategyrun wait {name} {ns}", "kubectl get events {ns}"),
    "StrategyRunning": ("strategyrun logs {name} {ns} --follow",),
    "Retrying": ("strategyrun wait {name} {ns}",),
    "FallingBack": ("strategyrun wait {name} {ns}", "strategyrun doctor {ns}"),
    "Evaluated": ("strategyrun report {name} {ns}", "strategyrun top {ns}"),
    "SelfReported": ("strategyrun report {name} {ns}",),
    "ScriptCompleted": ("strategyrun logs {name} {ns}",),
    "Cancelled": ("strategyrun rerun {name} {ns}",),
}
"""What to type, for each reason that is no failure; those say it in their hints."""

_MORE_TIME = f'{{"spec":{{"timeoutSeconds":{TIMEOUT_CEILING_SECONDS}}}}}'
_WITH_MORE_TIME = (
    f"kubectl patch srun RUN -n NAMESPACE --type merge --patch '{_MORE_TIME}'",
    "strategyrun rerun RUN -n NAMESPACE",
)
"""For a run that asked for less time than it may have."""


def _next(result: Result) -> list[str]:
    if result.reason in _OUTCOMES:
        commands = _OUTCOMES[result.reason].commands
        if result.reason == Reason.TIMEOUT and _asked_seconds(result) < TIMEOUT_CEILING_SECONDS:
            commands = (*commands, *_WITH_MORE_TIME)
        return [_named(command, result) for command in commands]
    if _held(result):
        jobs = [each.job_name for each in result.attempts[-1:] if each.job_name]
        look = [f"kubectl describe job {shlex.quote(name)} -n NAMESPACE" for name in jobs]
        return [_named(command, result) for command in (*look, "strategyrun wait RUN -n NAMESPACE")]
    name, namespace = shlex.quote(result.name), shlex.quote(result.namespace)
    commands = _COMMANDS.get(result.reason, ("strategyrun doctor {ns}",))
    return [command.format(name=name, ns=f"-n {namespace}") for command in commands]


def _asked_seconds(result: Result) -> int:
    """Return the time limit that a run asked for; without one it has all that its profile gives."""
    return int((result.body.get("spec") or {}).get("timeoutSeconds") or TIMEOUT_CEILING_SECONDS)
