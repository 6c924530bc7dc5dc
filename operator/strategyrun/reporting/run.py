"""A run as a report needs it: what the API server holds, read without trust in version or shape.

Not the operator's own model: a run that a later operator wrote, with reasons and metrics of its own, is shown too.
"""

import math
from datetime import date
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationError

from strategyrun.domain.model import Model, complaint
from strategyrun.domain.strategyrun import FINAL, NOT_SEEN
from strategyrun.domain.text import LINE_LIMIT, LINES_LIMIT, clean

_NUMBERS_LIMIT = 64
_NAME_LIMIT = 100


def _line(value: Any) -> Any:
    return clean(value) if isinstance(value, str) else value


def _lines(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [clean(line, LINE_LIMIT) for line in value[-LINES_LIMIT:] if isinstance(line, str)]


def _numbers(value: Any) -> Any:
    """Keep the numbers of a mapping: what is none is as good as absent."""
    if not isinstance(value, dict):
        return {}
    pairs = [(clean(name, _NAME_LIMIT), _number(number)) for name, number in [*value.items()][:_NUMBERS_LIMIT]]
    return {name: number for name, number in pairs if number is not None}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


Line = Annotated[str, BeforeValidator(_line)]
Lines = Annotated[tuple[str, ...], BeforeValidator(_lines)]
Numbers = Annotated[dict[str, float], BeforeValidator(_numbers)]


class InvalidRunError(Exception):
    """The API server's document is no StrategyRun that can be reported; the message is one line."""


class Condition(Model):
    """A fact about the run."""

    type: Line
    status: Line
    message: Line = ""


class Finding(Model):
    """A place in the source that was rejected."""

    line: int
    rule: Line
    hint: Line = ""


class Failure(Model):
    """Why a run failed."""

    class_: Line = Field(default="", alias="class")
    reason: Line = ""
    message: Line = ""
    exit_code: int | None = None
    signal: Line | None = None
    last_lines: Lines = ()
    findings: tuple[Finding, ...] = ()


class LookAhead(Model):
    """What the look-ahead check found: how many cuts were asked for, were made, and changed the past."""

    samples: int
    checked: int = 0
    changed: int = 0
    first_date: Line | None = None
    symbol: Line | None = None
    note: Line | None = None
    deterministic: bool = True


class EquityPoints(Model):
    """A few points of the equity curve, evenly spaced: multiples of the initial capital."""

    start: date = Field(alias="from")
    end: date = Field(alias="to")
    values: Annotated[tuple[Annotated[float, Field(ge=0, le=1e100)], ...], Field(max_length=1000)]


class ReportRef(Model):
    """Where the full report is kept."""

    config_map: str
    sha256: str


class SelfReported(Model):
    """Numbers that the strategy itself printed; nobody checked them."""

    values: Numbers = Field(default_factory=dict)


class Status(Model):
    """The operator's answer, as far as a report shows it."""

    phase: Line = "Pending"
    reason: Line = ""
    message: Line = ""
    hint: Line | None = None
    kind: Line | None = None
    conditions: tuple[Condition, ...] = ()
    metrics: Numbers = Field(default_factory=dict)
    warnings: Lines = ()
    failure: Failure | None = None
    look_ahead: LookAhead | None = None
    equity: EquityPoints | None = None
    report: ReportRef | None = None
    self_reported: SelfReported | None = None
    output: Lines = ()
    provenance: dict[str, Any] = Field(default_factory=dict)
    finished_at: Line | None = None

    @property
    def final(self) -> bool:
        """Whether the run has its answer."""
        return self.phase in FINAL


class Dataset(Model):
    """Where the prices came from."""

    name: Line = "prices"
    builtin: Line | None = None

    @property
    def label(self) -> str:
        """The name that says most to a reader."""
        return self.builtin or self.name


class Evaluation(Model):
    """How the positions were scored."""

    fees_bps: float = 10.0
    sell_tax_bps: float = 0.0
    slippage_bps: float = 0.0
    periods_per_year: Annotated[int, Field(ge=1, le=366)] = 252
    benchmark: Line = "EqualWeight"


class Spec(Model):
    """What was asked for, as far as a report shows it."""

    datasets: tuple[Dataset, ...] = (Dataset(builtin="us-stocks"),)
    evaluation: Evaluation = Evaluation()


class Run(Model):
    """One StrategyRun to report."""

    namespace: Line
    name: Line
    spec: Spec
    status: Status

    @classmethod
    def parse(cls, body: dict[str, Any]) -> Self:
        """Read the API server's document. Raises InvalidRunError naming what does not fit."""
        meta = body.get("metadata") or {}
        try:
            return cls.model_validate(
                {
                    "namespace": meta.get("namespace"),
                    "name": meta.get("name"),
                    "spec": body.get("spec") or {},
                    "status": body.get("status") or NOT_SEEN,
                }
            )
        except ValidationError as error:
            raise InvalidRunError(f"the run cannot be read: {complaint(error)}") from error
