"""The answer of a run as a typed value, whichever engine gave it, and as an error where it is no good one."""

from dataclasses import dataclass
from typing import Any, Self

from pydantic import ValidationError

from strategyrun.client.display import card
from strategyrun.client.errors import ClusterError, NotAskedError, StrategyRunError
from strategyrun.client.status import Attempt, Fallback, Queue, Status
from strategyrun.client.trial import Trial
from strategyrun.domain.model import complaint
from strategyrun.domain.outcomes import FAILURES, Reason, named
from strategyrun.domain.strategyrun import FINAL, NOT_SEEN, RERUN_ANNOTATION, Metrics, Timings, shown_rerun
from strategyrun.reporting.run import EquityPoints, Failure, LookAhead

DEADLINE_EXCEEDED = "DeadlineExceeded"
"""The reason of a run that had no answer in the time that its caller gave it."""


@dataclass(frozen=True)
class Result:
    """A run as it is: its answer where it has one, what it waits for where it has none.

    `phase` is Pending (nobody has seen it), Queued, Starting, Running, Succeeded, Failed or Cancelled; `reason` and
    `message` say why. `metrics` are the trusted evaluator's, absent ones None; a script's own numbers stand in
    `self_reported`. `executor` is Sandbox or Fallback. `body` is the whole document.
    """

    name: str
    namespace: str
    labels: dict[str, str]
    phase: str
    reason: str
    message: str
    hint: str | None
    kind: str | None
    executor: str | None
    metrics: Metrics
    warnings: tuple[str, ...]
    failure: Failure | None
    fallback: Fallback | None
    queue: Queue | None
    look_ahead: LookAhead | None
    equity: EquityPoints | None
    self_reported: dict[str, float]
    output: tuple[str, ...]
    attempts: tuple[Attempt, ...]
    timings: Timings
    provenance: dict[str, Any]
    inputs_hash: str
    accepted_at: str | None
    finished_at: str | None
    created_at: str | None
    current: bool
    """Whether the operator speaks of the spec as it is now, and of the last rerun that was asked for."""
    body: dict[str, Any]
    trial: Trial | None = None
    """What was asked for, where this client asked."""

    @classmethod
    def of(cls, body: dict[str, Any], trial: Trial | None = None) -> Self:
        """Read a StrategyRun as the API server holds it. Raises ClusterError where it is none."""
        meta = body.get("metadata") or {}
        try:
            status = Status.model_validate(body.get("status") or NOT_SEEN)
            metrics = Metrics.model_validate({name: _whole(number) for name, number in status.metrics.items()})
        except ValidationError as error:
            raise ClusterError(f"StrategyRun {meta.get('name')} cannot be read: {complaint(error)}") from error
        shared = {name: getattr(status, name) for name in _SHARED}
        return cls(
            **shared,
            name=str(meta.get("name", "")),
            namespace=str(meta.get("namespace", "")),
            labels=meta.get("labels") or {},
            metrics=metrics,
            self_reported=status.self_reported.values if status.self_reported else {},
            timings=status.timings or Timings(),
            created_at=meta.get("creationTimestamp"),
            current=status.observed_generation == meta.get("generation", 0) and _rerun(meta) == status.observed_rerun,
            body=body,
            trial=trial,
        )

    @classmethod
    def unheard(cls, name: str, namespace: str, trial: Trial | None = None) -> Self:
        """Return a run of which nothing is known but what was asked for."""
        status = {"reason": "Unheard", "message": "nothing has been heard of it"}
        return cls.of({"metadata": _meta(name, namespace, trial), "status": status}, trial)

    @classmethod
    def refused(cls, trial: Trial, namespace: str, reason: Reason, said: str) -> Self:
        """Return the answer to a trial of which no run could be made: a failure whose `name` no run has."""
        outcome = FAILURES[reason]
        hint = named(outcome.hint, namespace=namespace, run=trial.prefix, pod="POD")
        failure = {"class": str(outcome.class_), "reason": str(reason), "message": said}
        status = {"phase": "Failed", "reason": str(reason), "message": said, "hint": hint, "failure": failure}
        return cls.of({"metadata": _meta(trial.prefix, namespace, trial), "status": status}, trial)

    @classmethod
    def unanswered(cls, body: dict[str, Any], reason: str, said: str, trial: Trial | None = None) -> Self:
        """Return the end of a run that will have no answer: Cancelled. `body` is the run as it was last seen.

        An answer to what was asked for before is not kept.
        """
        meta, status = body["metadata"], body.get("status") or {}
        seen = {"observedGeneration": meta.get("generation", 0), "observedRerun": _rerun(meta)}
        ended = {**seen, "phase": "Cancelled", "reason": reason, "message": said}
        return cls.of({**body, "status": {**({} if status.get("phase") in FINAL else status), **ended}}, trial)

    @classmethod
    def late(cls, trial: Trial, seen: Self, seconds: float | None, *, cancelled: bool) -> Self:
        """Return the end of a trial that had no answer in its time; `seen` is its run as it was last seen."""
        done = "so it was cancelled" if cancelled else "and it could not be cancelled: it may go on"
        said = f"no answer within {seconds:g} s, {done}; it was {seen.phase} ({seen.reason}): {seen.message}"
        return cls.unanswered(seen.body, DEADLINE_EXCEEDED, said, trial)

    @property
    def finished(self) -> bool:
        """Whether this is the answer to what is asked for now."""
        return self.phase in FINAL and self.current

    @property
    def succeeded(self) -> bool:
        """Whether the run ended well; see `ranks` for whether its numbers can be compared."""
        return self.phase == "Succeeded"

    @property
    def outcome(self) -> str:
        """How it ended: Succeeded, User, Sandbox, Platform or Cancelled; empty before its end."""
        if self.phase == "Failed":
            return self.failure.class_ if self.failure and self.failure.class_ else "Platform"
        return self.phase if self.phase in FINAL else ""

    @property
    def pod(self) -> str:
        """The name of its last pod; empty where it has had none."""
        return (self.attempts[-1].pod_name if self.attempts else None) or ""

    @property
    def marks(self) -> tuple[str, ...]:
        """Why its numbers do not stand beside the others': nothing where they do."""
        marks = []
        if self.self_reported:
            marks.append("SelfReported")
        if self.executor == "Fallback":
            marks.append("Fallback")
        if self.look_ahead and self.look_ahead.changed:
            marks.append("LookAhead")
        if self.look_ahead and not self.look_ahead.deterministic:
            marks.append("NonDeterministic")
        return tuple(marks)

    @property
    def ranks(self) -> bool:
        """Whether its numbers are the evaluator's, of a run in the sandbox, repeatable, and without look-ahead."""
        return self.succeeded and self.kind in (None, "Positions") and not self.marks

    def value(self, metric: str) -> float | None:
        """Return a metric by its name in the API (`sharpe`, `maxDrawdown`), or a self-reported number."""
        if self.self_reported:
            return self.self_reported.get(metric)
        found = self.metrics.document().get(metric)
        return float(found) if isinstance(found, int | float) else None

    def raise_for_failure(self) -> Self:
        """Return the result of a run that succeeded.

        Raises UserError, SandboxError, PlatformError or RunCancelledError where it ended otherwise, and NotAskedError
        where it has not ended.
        """
        if not self.finished:
            raise NotAskedError(f"{self.name} has no answer yet: it is {self.phase} ({self.reason})")
        if not self.succeeded:
            raise _ERRORS.get(self.outcome, PlatformError)(self)
        return self

    def __repr__(self) -> str:
        sharpe = f" sharpe={self.metrics.sharpe:.2f}" if self.metrics.sharpe is not None else ""
        return f"<Result {self.name} {self.phase} {self.reason}{sharpe}{''.join(f' {mark}' for mark in self.marks)}>"

    def _repr_html_(self) -> str:
        return card(
            name=self.name,
            phase=self.phase,
            reason=self.reason,
            message=self.message,
            marks=self.marks,
            hint=self.hint,
            metrics=self.metrics,
            self_reported=self.self_reported,
            equity=self.equity,
            failure=self.failure,
        )


class RunError(StrategyRunError):
    """A run ended, and not well."""

    def __init__(self, result: Result) -> None:
        super().__init__(f"{result.name}: {result.reason}: {result.message}")
        self.result = result


class UserError(RunError):
    """The strategy is at fault."""


class SandboxError(RunError):
    """What was to run the strategy is at fault."""


class PlatformError(RunError):
    """The cluster is at fault."""


class RunCancelledError(RunError):
    """Somebody did not want the run any more."""


class NotFinishedError(StrategyRunError, TimeoutError):
    """The time is over, and some of the runs that were waited for have not ended. They go on."""

    def __init__(self, message: str, ended: list[Result], unfinished: list[Result]) -> None:
        super().__init__(message)
        self.ended = ended
        self.unfinished = unfinished


_ERRORS: dict[str, type[RunError]] = {
    "User": UserError,
    "Sandbox": SandboxError,
    "Platform": PlatformError,
    "Cancelled": RunCancelledError,
}
"""By the outcome of a run that did not succeed."""

_SHARED = (set(Result.__dataclass_fields__) & set(Status.model_fields)) - {"metrics", "self_reported", "timings"}


def _meta(name: str, namespace: str, trial: Trial | None) -> dict[str, Any]:
    """Return the metadata of a run of which nothing was read."""
    return {"name": name, "namespace": namespace, "labels": dict(trial.labels) if trial else {}}


def _rerun(meta: dict[str, Any]) -> str | None:
    """Return the rerun that is asked for, as a status repeats it."""
    return shown_rerun((meta.get("annotations") or {}).get(RERUN_ANNOTATION))


def _whole(number: float) -> float | int:
    return int(number) if number.is_integer() else number
