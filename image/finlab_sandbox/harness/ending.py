"""From what was seen of the child's end to the document that says why. Pure."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from typing import Any, NamedTuple

from finlab_sandbox.harness import found, reasons, selfreport, text

POSITIONS, RESULT = "Positions", "Result"
NON_DETERMINISTIC = "NonDeterministic: two equal runs gave different positions"
NOTHING_PRINTED = (
    "the script ended without a word; a strategy to be scored defines strategy(data, params) or leaves a frame of "
    "weights in `positions`, any other script prints something"
)


@dataclass(frozen=True)
class Ending:
    """What the supervisor saw. Durations in seconds."""

    kind: str = POSITIONS
    samples: int = 0  # on how many futures the positions were to be checked
    exit_code: int | None = None
    signal: int | None = None
    started: bool = False  # the strategy's code was about to run
    finished: bool = False  # the child said that the strategy's run was over: hostile as what follows it
    timed_out: bool = False  # the supervisor ended it, for the time limit
    stopped: bool = False  # the supervisor was told to stop
    starved: bool | None = None  # the kernel killed for want of memory; None where it does not tell
    walls: bytes = b""  # what the self-check found: said before the start, and not hostile
    said: bytes = b""  # what the child said of its end: hostile once started
    handed_over: bool = False  # a file of the right shape is there
    result: bytes | None = None  # what the strategy wrote of itself: hostile
    result_unread: str = ""  # why that could not be read
    output: bytes = b""  # the end of stdout and stderr
    limit: float = 0.0
    imports: float = 0.0
    strategy: float = 0.0
    look_ahead: float = 0.0


class Verdict(NamedTuple):
    """The reason and its message, and what comes with it."""

    reason: str
    message: str
    warnings: list[str] = []  # noqa: RUF012 - nobody writes to it
    result: dict[str, float] | None = None


def document_of(end: Ending) -> dict[str, Any]:
    """The completion or failure document, safe to show."""
    verdict = judge(end)
    completed = verdict.reason == reasons.COMPLETED
    checked = _look_ahead(end) if completed else None
    warnings = list(verdict.warnings)
    if checked is not None and not checked.deterministic:
        warnings.insert(0, NON_DETERMINISTIC)
    return {
        "schema": 2,
        "reason": verdict.reason,
        "message": text.clean(verdict.message, text.MAX_MESSAGE_CHARS),
        "exitCode": 0 if completed else end.exit_code,
        "signal": None if completed or end.signal is None else _name(end.signal),
        "lastLines": text.last_lines(end.output),
        "seconds": {
            "imports": round(end.imports, 3),
            "strategy": round(end.strategy, 3),
            "lookAhead": round(end.look_ahead, 3),
        },
        "warnings": [text.clean(warning, text.MAX_WARNING_CHARS) for warning in warnings[: text.MAX_WARNINGS]],
        "lookAhead": None if checked is None else checked.document(end.samples),
        "result": verdict.result,
        "walls": json.loads(end.walls) if end.walls else None,
    }


def judge(end: Ending) -> Verdict:
    """What came of it. What was seen from outside comes before what the child says.

    Positions that are handed over stay handed over, however the check of them ends: by the time limit, by a crash,
    or at the memory limit, which the strategy itself had kept to. A forbidden system call is no such end: who makes
    it only once his positions are safe, or only on other prices, has made it all the same.
    """
    if end.stopped:
        return Verdict(reasons.CRASHED, "the run was told to stop (SIGTERM)")
    if end.started and end.signal == signal.SIGSYS:
        return Verdict(reasons.SYSCALL_VIOLATION, "killed by SIGSYS: made a system call that the sandbox forbids")
    if end.kind == POSITIONS and end.finished and end.handed_over:
        return Verdict(reasons.COMPLETED, "")
    if end.timed_out:
        return Verdict(reasons.TIMEOUT, f"ran longer than the limit of {end.limit:g} s")
    if end.signal == signal.SIGKILL and end.starved is not False:
        return Verdict(reasons.OUT_OF_MEMORY, "killed by SIGKILL: the memory limit was reached")
    if not end.started:
        return _judge_before_start(end)
    if end.signal is not None:
        return Verdict(reasons.CRASHED, f"killed by {_name(end.signal)}")
    if said := _parse(end.said):
        return said
    if end.exit_code != 0:
        return Verdict(reasons.STRATEGY_ERROR, f"the process ended with exit code {end.exit_code} and no exception")
    if end.kind == POSITIONS:
        return _judge_positions(end)
    return _judge_result(end) if end.kind == RESULT else _judge_output(end)


def _judge_before_start(end: Ending) -> Verdict:
    """No line of the strategy has run: what failed is the image, the mounts, or the limits around them."""
    if end.signal is not None:
        return Verdict(reasons.IMAGE_INVALID, f"killed by {_name(end.signal)} before the strategy was started")
    return _parse(end.said, reasons.REPORTED_BEFORE_START) or Verdict(
        reasons.IMAGE_INVALID, _message(end.said) or "ended before the strategy was started"
    )


def _judge_positions(end: Ending) -> Verdict:
    if end.handed_over:
        return Verdict(reasons.COMPLETED, "")
    return Verdict(reasons.RESULT_MISSING, "the process ended with exit code 0 before it had returned positions")


def _judge_result(end: Ending) -> Verdict:
    """Numbers from the file, else from the last line that says RESULT."""
    line = selfreport.last_result(end.output)
    try:
        if end.result_unread:
            raise selfreport.InvalidReportError(end.result_unread)
        if end.result is not None:
            numbers = selfreport.parse(selfreport.FILE, end.result, alone=True)
        elif line is not None:
            numbers = selfreport.parse("what follows RESULT", line, alone=False)
        else:
            return Verdict(reasons.RESULT_MISSING, f"the script left no result; {selfreport.BOTH_WAYS}")
    except selfreport.InvalidReportError as error:
        return Verdict(reasons.RESULT_INVALID, str(error))
    return Verdict(reasons.COMPLETED, "", numbers.warnings, numbers.values)


def _judge_output(end: Ending) -> Verdict:
    if text.last_lines(end.output):
        return Verdict(reasons.COMPLETED, "")
    return Verdict(reasons.RESULT_MISSING, NOTHING_PRINTED)


def _look_ahead(end: Ending) -> found.Found | None:
    """What the check found; None where none was asked for."""
    if end.kind != POSITIONS or end.samples == 0:
        return None
    if said := found.parse(end.said, end.samples):
        return said
    if end.timed_out:
        return found.Found(note="the check was ended: it took too long")
    if end.signal == signal.SIGKILL and end.starved is not False:
        return found.Found(note="the check was ended at the memory limit (SIGKILL)")
    if end.signal is not None:
        return found.Found(note=f"the check was ended by {_name(end.signal)}")
    return found.Found(note=f"the strategy ended the check with exit code {end.exit_code}")


def _parse(said: bytes, may_say: frozenset[str] = reasons.REPORTED) -> Verdict | None:
    """What the child said, if it is one of the things it may say."""
    try:
        document = json.loads(said)
        reason, message = document["reason"], document["message"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    if isinstance(reason, str) and isinstance(message, str) and reason in may_say:
        return Verdict(reason, message)
    return None


def _message(said: bytes) -> str:
    """The message alone, from a child that is still trusted."""
    try:
        return str(json.loads(said)["message"])
    except (ValueError, LookupError, TypeError):
        return ""


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
