"""What comes out of a pod, read without trust: the evaluator's report and the harness's last words."""

import json
import math
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from strategyrun.domain.model import Model
from strategyrun.domain.strategyrun import Metrics
from strategyrun.domain.text import LINE_LIMIT, LINES_LIMIT, clean

SIZE_LIMIT_BYTES = 4096

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Exact(Model):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid", strict=True)


class ReportedMetrics(Metrics):
    """Metrics as the evaluator writes them: an unknown name is refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid", allow_inf_nan=False
    )


class ReportedHashes(_Exact):
    """SHA-256 of the documents that the evaluator read."""

    code: Sha256
    input: Sha256
    evaluation: Sha256
    dataset: Sha256
    positions: Sha256 | None = None


class Report(_Exact):
    """The evaluator's one document."""

    schema_: Literal[1] = Field(alias="schema")
    nonce: str
    verdict: Literal["Evaluated", "Rejected"]
    reason: Literal["Evaluated", "ResultMissing", "ResultInvalid", "ResultTooLarge"]
    message: str
    metrics: ReportedMetrics
    warnings: Annotated[list[str], Field(max_length=16)]
    hashes: ReportedHashes
    evaluator: Annotated[str, Field(max_length=64)]
    seconds: Annotated[float, Field(ge=0)]


class LastWords(Model):
    """The harness's document. The strategy can write it too, so it only ever explains a failure."""

    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    signal: str | None = None
    last_lines: tuple[str, ...] = ()
    seconds: dict[str, float] = Field(default_factory=dict)


class InvalidReportError(ValueError):
    """The evaluator's message is not a report."""


def parse_report(message: str) -> Report:
    """Read the evaluator's termination message.

    Raises InvalidReportError naming what is wrong.
    """
    try:
        return Report.model_validate(_load(message))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidReportError(f"{where}: {first['msg']}") from error


def parse_last_words(message: str) -> LastWords | None:
    """Read the strategy container's termination message; None where it is not the harness's document."""
    try:
        words = LastWords.model_validate(_load(message))
    except (ValidationError, InvalidReportError):
        return None
    return words.model_copy(
        update={
            "message": clean(words.message),
            "signal": clean(words.signal, 32) if words.signal else None,
            "last_lines": tuple(clean(line, LINE_LIMIT) for line in words.last_lines[-LINES_LIMIT:]),
            "seconds": {name: value for name, value in words.seconds.items() if math.isfinite(value) and value >= 0},
        }
    )


def _load(message: str) -> Any:
    if len(message.encode(errors="replace")) > SIZE_LIMIT_BYTES:
        raise InvalidReportError(f"longer than {SIZE_LIMIT_BYTES} bytes")
    try:
        return json.loads(message, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidReportError(f"not JSON: {clean(str(error), 100)}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise InvalidReportError("a key occurs twice")
    return document


def _refuse_constant(name: str) -> Any:
    raise InvalidReportError(f"{name} is not a number")
