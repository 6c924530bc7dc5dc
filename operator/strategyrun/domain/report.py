"""What comes out of a pod, read without trust: the evaluator's report and the harness's last words."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from strategyrun.domain.model import Model
from strategyrun.domain.strategyrun import Metrics
from strategyrun.domain.text import clean

SIZE_LIMIT_BYTES = 4096

_DIGITS_LIMIT = 15
"""Of an integer: more than that, JSON readers do not agree on."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Seconds = Annotated[float, Field(ge=0, le=86_400)]

_EXACT = ConfigDict(populate_by_name=False, strict=True, extra="forbid", allow_inf_nan=False)


class ReportedMetrics(Metrics):
    """Metrics as the evaluator writes them: an unknown name is refused."""

    model_config = _EXACT


class ReportedHashes(Model):
    """SHA-256 of the documents that the evaluator read."""

    model_config = _EXACT

    code: Sha256
    input: Sha256
    evaluation: Sha256
    dataset: Sha256
    positions: Sha256 | None = None


class Report(Model):
    """The evaluator's one document."""

    model_config = _EXACT

    schema_: Annotated[int, Field(ge=1, le=1)] = Field(alias="schema")
    nonce: str
    verdict: Literal["Evaluated", "Rejected"]
    reason: Literal["Evaluated", "ResultMissing", "ResultInvalid", "ResultTooLarge"]
    message: str
    metrics: ReportedMetrics
    warnings: Annotated[list[str], Field(max_length=12)]
    hashes: ReportedHashes
    evaluator: str
    seconds: Seconds

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if (self.verdict == "Evaluated") != (self.reason == "Evaluated"):
            raise ValueError(f"verdict {self.verdict} with reason {self.reason}")
        return self


class LastWords(Model):
    """The harness's document. The strategy can write it too, so it only ever explains a failure."""

    model_config = ConfigDict(populate_by_name=False, strict=True, allow_inf_nan=False)

    reason: str
    message: str = ""
    exit_code: Annotated[int, Field(ge=0, le=255)] | None = None
    signal: str | None = None
    last_lines: list[str] = Field(default_factory=list)
    seconds: dict[str, Seconds] = Field(default_factory=dict)


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
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise InvalidReportError(f"{where}: {first['msg']}") from error


def parse_last_words(message: str) -> LastWords | None:
    """Read the strategy container's termination message; None where it is not the harness's document."""
    try:
        return LastWords.model_validate(_load(message))
    except (ValidationError, InvalidReportError):
        return None


def _load(message: str) -> Any:
    if len(message.encode(errors="replace")) > SIZE_LIMIT_BYTES:
        raise InvalidReportError(f"longer than {SIZE_LIMIT_BYTES} bytes")
    try:
        return json.loads(message, object_pairs_hook=_unique, parse_int=_integer, parse_constant=_no_number)
    except InvalidReportError:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidReportError(f"not JSON: {clean(str(error), 100)}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise InvalidReportError("a key occurs twice")
    return document


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS_LIMIT:
        raise InvalidReportError(f"an integer of more than {_DIGITS_LIMIT} digits")
    return int(digits)


def _no_number(name: str) -> Any:
    raise InvalidReportError(f"{name} is not a number")
