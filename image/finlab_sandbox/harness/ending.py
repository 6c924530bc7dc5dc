"""From what was seen of the child's end to the document that says why. Pure."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from typing import Any

from finlab_sandbox.harness import reasons, text


@dataclass(frozen=True)
class Ending:
    """What the supervisor saw. Durations in seconds."""

    exit_code: int | None = None
    signal: int | None = None
    started: bool = False  # the strategy's code was about to run
    timed_out: bool = False  # the supervisor ended it, for the time limit
    stopped: bool = False  # the supervisor was told to stop
    said: bytes = b""  # what the child said of its end: hostile once started
    handed_over: bool = False  # a file of the right shape is there
    output: bytes = b""  # the end of stdout and stderr
    limit: float = 0.0
    imports: float = 0.0
    strategy: float = 0.0


def document_of(end: Ending) -> dict[str, Any]:
    """The completion or failure document, safe to show."""
    reason, message = judge(end)
    return {
        "schema": 1,
        "reason": reason,
        "message": text.clean(message, text.MAX_MESSAGE_CHARS),
        "exitCode": end.exit_code,
        "signal": None if end.signal is None else _name(end.signal),
        "lastLines": text.last_lines(end.output),
        "seconds": {"imports": round(end.imports, 3), "strategy": round(end.strategy, 3)},
    }


def judge(end: Ending) -> tuple[str, str]:
    """Reason and message. What was seen from outside comes before what the child says."""
    if end.timed_out:
        return reasons.TIMEOUT, f"ran longer than the limit of {end.limit:g} s"
    if end.stopped:
        return reasons.CRASHED, "the run was told to stop (SIGTERM)"
    if end.signal == signal.SIGKILL:
        return reasons.OUT_OF_MEMORY, "killed by SIGKILL: the memory limit was reached"
    if not end.started:
        return _judge_before_start(end)
    if end.signal == signal.SIGSYS:
        return reasons.SYSCALL_VIOLATION, "killed by SIGSYS: made a system call that the sandbox forbids"
    if end.signal is not None:
        return reasons.CRASHED, f"killed by {_name(end.signal)}"
    if said := _parse(end.said):
        return said
    if end.exit_code != 0:
        return reasons.STRATEGY_ERROR, f"the process ended with exit code {end.exit_code} and no exception"
    if not end.handed_over:
        return reasons.RESULT_MISSING, "the process ended with exit code 0 before it had returned positions"
    return reasons.COMPLETED, ""


def _judge_before_start(end: Ending) -> tuple[str, str]:
    """No line of the strategy has run: what failed is the image, the mounts, or the limits around them."""
    if end.signal is not None:
        return reasons.IMAGE_INVALID, f"killed by {_name(end.signal)} before the strategy was started"
    return _parse(end.said) or (reasons.IMAGE_INVALID, _message(end.said) or "ended before the strategy was started")


def _parse(said: bytes) -> tuple[str, str] | None:
    """What the child said, if it is one of the things it may say."""
    try:
        document = json.loads(said)
        reason, message = document["reason"], document["message"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    if isinstance(reason, str) and isinstance(message, str) and reason in reasons.REPORTED:
        return reason, message
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
