"""The status of a run, as the operator writes it."""

from strategyrun.domain.model import Model
from strategyrun.domain.strategyrun import Timings
from strategyrun.reporting import run
from strategyrun.reporting.run import Finding, Line


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


class Status(run.Status):
    """What the operator writes, read without trust in its version: an unknown word is only a word."""

    observed_generation: int = 0
    observed_rerun: str | None = None
    """To the letter: it is compared, and not shown."""
    executor: Line | None = None
    inputs_hash: str = ""
    fallback: Fallback | None = None
    queue: Queue | None = None
    attempts: tuple[Attempt, ...] = ()
    timings: Timings | None = None
    accepted_at: Line | None = None
