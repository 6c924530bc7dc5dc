"""What comes out of a pod, read without trust: the evaluator's report and the harness's last words."""

import base64
import binascii
import json
from hashlib import sha256
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from strategyrun.domain.model import Model
from strategyrun.domain.strategyrun import Equity, Metrics
from strategyrun.domain.text import clean

SIZE_LIMIT_BYTES = 4096
FULL_REPORT_LIMIT_BYTES = 384 * 1024
LOG_LIMIT_BYTES = 2 * FULL_REPORT_LIMIT_BYTES
"""What has to be read of the evaluator's log to have the whole report, in base64."""

_DIGITS_LIMIT = 15
"""Of an integer: more than that, JSON readers do not agree on."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Day = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
Count = Annotated[int, Field(ge=0, le=1000)]

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
    dataset: Sha256 | None = None
    positions: Sha256 | None = None
    report: Sha256 | None = None


class ReportedEquity(Equity):
    """The equity curve as the evaluator writes it."""

    model_config = _EXACT

    first_day: Day = Field(alias="from")
    last_day: Day = Field(alias="to")
    values: Annotated[list[float], Field(min_length=1, max_length=48)]  # type: ignore[assignment]


class Report(Model):
    """The evaluator's one document."""

    model_config = _EXACT

    schema_: Annotated[int, Field(ge=2, le=2)] = Field(alias="schema")
    nonce: str
    verdict: Literal["Evaluated", "Unscored", "Rejected"]
    reason: Literal["Evaluated", "Unscored", "ResultMissing", "ResultInvalid", "ResultTooLarge", "DataMissing"]
    message: str
    metrics: ReportedMetrics
    warnings: Annotated[list[str], Field(max_length=12)]
    hashes: ReportedHashes
    equity: ReportedEquity | None = None
    evaluator: str
    seconds: Seconds

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.verdict != (self.reason if self.reason in ("Evaluated", "Unscored") else "Rejected"):
            raise ValueError(f"verdict {self.verdict} with reason {self.reason}")
        return self


class LookAheadWords(Model):
    """What the harness says of the look-ahead guard."""

    model_config = ConfigDict(populate_by_name=False, strict=True)

    samples: Count
    checked: Count
    changed: Count
    first_date: Day | None = None
    symbol: str | None = None
    note: str = ""
    deterministic: bool = True


class WallWords(Model):
    """What the harness found of the walls, as far as it differs from one good pod to another."""

    model_config = ConfigDict(populate_by_name=False, strict=True)

    landlock: Annotated[int, Field(ge=1, le=1000)] | None = None


class LastWords(Model):
    """The harness's document. The strategy can write it too: it explains a failure, and no score depends on it."""

    model_config = ConfigDict(populate_by_name=False, strict=True, allow_inf_nan=False)

    reason: str
    message: str = ""
    exit_code: Annotated[int, Field(ge=0, le=255)] | None = None
    signal: str | None = None
    last_lines: list[str] = Field(default_factory=list)
    seconds: dict[str, Seconds] = Field(default_factory=dict)
    warnings: Annotated[list[str], Field(max_length=8)] = Field(default_factory=list)
    look_ahead: LookAheadWords | None = None
    walls: WallWords | None = None
    result: Annotated[dict[str, float], Field(max_length=32)] | None = None


class LoaderWords(Model):
    """What the loader of the dataset says of its end."""

    model_config = ConfigDict(populate_by_name=False, strict=True)

    reason: Literal["Loaded", "DataMissing", "DataInvalid"]
    message: str = ""


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


def parse_loader_words(message: str) -> LoaderWords | None:
    """Read the dataset container's termination message; None where it is not the loader's document."""
    try:
        return LoaderWords.model_validate(_load(message))
    except (ValidationError, InvalidReportError):
        return None


def full_report(log: bytes, wanted: str) -> bytes:
    """Take the full report (a gzip file) with the SHA-256 `wanted` out of the evaluator's log.

    Raises InvalidReportError saying what the log has instead.
    """
    _, found, rest = log.partition(b"FINLAB-REPORT 1 ")
    if not found:
        raise InvalidReportError("the log has no report")
    body = rest.partition(b"\n")[2]
    try:
        content = base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error as error:
        raise InvalidReportError(f"the log is not base64: {error}") from error
    if len(content) > FULL_REPORT_LIMIT_BYTES:
        raise InvalidReportError(f"the report has {len(content)} bytes, more than {FULL_REPORT_LIMIT_BYTES}")
    if sha256(content).hexdigest() != wanted:
        raise InvalidReportError(f"the log has another report, or a part of it: {len(content)} bytes")
    return content


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
