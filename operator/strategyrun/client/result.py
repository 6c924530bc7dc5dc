"""The answer of a run as a typed value, whichever engine gave it."""

from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationError

from strategyrun.client.errors import BY_CLASS, ClusterError, NotAskedError
from strategyrun.client.trial import Trial
from strategyrun.domain.model import Model, complaint
from strategyrun.domain.outcomes import FAILURES, Reason
from strategyrun.domain.strategyrun import NOT_SEEN, Metrics, Timings
from strategyrun.reporting.run import EquityPoints, Failure, Finding, Line, Lines, LookAhead, Numbers, SelfReported

FINAL = frozenset({"Succeeded", "Failed", "Cancelled"})


class Fallback(Model):
    """What a failure of the sandbox led to: whether the fallback ran, why, and what kept it from running."""

    used: bool = False
    trigger: Line = ""
    message: Line = ""
    findings: tuple[Finding, ...] = ()


class Queue(Model):
    """Where a run stands in the line: 1 is next."""

    position: int | None = None
    reason: Line = ""


class Attempt(Model):
    """One Job of a run."""

    number: int = 0
    pod_name: Line | None = None
    node: Line | None = None
    reason: Line | None = None
    message: Line | None = None


class _Status(Model):
    """What the operator writes, read without trust in its version: an unknown word is only a word."""

    observed_generation: int = 0
    phase: Line = "Pending"
    reason: Line = ""
    message: Line = ""
    hint: Line | None = None
    kind: Line | None = None
    executor: Line | None = None
    inputs_hash: str = ""
    metrics: Annotated[Numbers, BeforeValidator(lambda value: value or {})] = Field(default_factory=dict)
    warnings: Lines = ()
    failure: Failure | None = None
    fallback: Fallback | None = None
    queue: Queue | None = None
    look_ahead: LookAhead | None = None
    equity: EquityPoints | None = None
    self_reported: SelfReported | None = None
    output: Lines = ()
    attempts: tuple[Attempt, ...] = ()
    timings: Timings | None = None
    provenance: dict[str, Any] = Field(default_factory=dict)
    accepted_at: Line | None = None
    finished_at: Line | None = None


@dataclass(frozen=True)
class Result:
    """A run as it is: its answer where it has one, what it waits for where it has none.

    `phase` is Pending (nobody has seen it), Queued, Starting, Running, Succeeded, Failed or Cancelled; `reason` and
    `message` say why. `metrics` are the trusted evaluator's, absent ones None; a script's own numbers stand in
    `self_reported`. `executor` is Sandbox or Fallback. `body` is the whole document.
    """

    name: str
    namespace: str
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
    """Whether the operator speaks of the spec as it is now."""
    body: dict[str, Any]
    trial: Trial | None = None
    """What was asked for, where this client asked."""

    @classmethod
    def of(cls, body: dict[str, Any], trial: Trial | None = None) -> Self:
        """Read a StrategyRun as the API server holds it. Raises ClusterError where it is none."""
        meta = body.get("metadata") or {}
        try:
            status = _Status.model_validate(body.get("status") or NOT_SEEN)
            metrics = Metrics.model_validate({name: _whole(number) for name, number in status.metrics.items()})
        except ValidationError as error:
            raise ClusterError(f"StrategyRun {meta.get('name')} cannot be read: {complaint(error)}") from error
        shared = {name: getattr(status, name) for name in _SHARED}
        return cls(
            **shared,
            name=str(meta.get("name", "")),
            namespace=str(meta.get("namespace", "")),
            metrics=metrics,
            self_reported=status.self_reported.values if status.self_reported else {},
            timings=status.timings or Timings(),
            created_at=meta.get("creationTimestamp"),
            current=status.observed_generation == meta.get("generation", 0),
            body=body,
            trial=trial,
        )

    @classmethod
    def refused(cls, trial: Trial, namespace: str, reason: Reason, said: str) -> Self:
        """Return the answer to a trial of which no run could be made: a failure whose `name` no run has."""
        outcome = FAILURES[reason]
        failure = {"class": str(outcome.class_), "reason": str(reason), "message": said}
        status = {"phase": "Failed", "reason": str(reason), "message": said, "hint": outcome.hint, "failure": failure}
        return cls.of({"metadata": {"name": trial.prefix, "namespace": namespace}, "status": status}, trial)

    @property
    def finished(self) -> bool:
        """Whether this is the answer to the spec as it is now."""
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
            raise BY_CLASS.get(self.outcome, BY_CLASS["Platform"])(self)
        return self

    def __repr__(self) -> str:
        sharpe = f" sharpe={self.metrics.sharpe:.2f}" if self.metrics.sharpe is not None else ""
        return f"<Result {self.name} {self.phase} {self.reason}{sharpe}{''.join(f' {mark}' for mark in self.marks)}>"

    def _repr_html_(self) -> str:
        from strategyrun.client.display import card  # noqa: PLC0415 - a notebook's need alone

        return card(self)


_SHARED = (set(Result.__dataclass_fields__) & set(_Status.model_fields)) - {"metrics", "self_reported", "timings"}


def _whole(number: float) -> float | int:
    return int(number) if number.is_integer() else number
