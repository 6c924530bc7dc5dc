"""The status of a run, as the operator writes it."""

from typing import Any

from pydantic import Field

from strategyrun.domain.model import Model
from strategyrun.domain.strategyrun import Timings
from strategyrun.reporting.run import EquityPoints, Failure, Finding, Line, Lines, LookAhead, Numbers, SelfReported


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
    job_name: Line | None = None
    pod_name: Line | None = None
    node: Line | None = None
    reason: Line | None = None
    message: Line | None = None


class Status(Model):
    """What the operator writes, read without trust in its version: an unknown word is only a word."""

    observed_generation: int = 0
    observed_rerun: str | None = None
    """To the letter: it is compared, and not shown."""
    phase: Line = "Pending"
    reason: Line = ""
    message: Line = ""
    hint: Line | None = None
    kind: Line | None = None
    executor: Line | None = None
    inputs_hash: str = ""
    metrics: Numbers = Field(default_factory=dict)
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
