"""Exit codes: what a script learns without reading a word."""

from collections.abc import Iterable
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the code of an interrupt is needed before the client is there
    from strategyrun.client import Result


class Exit(IntEnum):
    """How a command ended."""

    SUCCEEDED = 0
    USAGE = 2  # what was asked for makes no sense, or the cluster says no
    USER = 10
    SANDBOX = 20
    PLATFORM = 30
    CANCELLED = 40
    UNREACHABLE = 69  # there is no cluster, or it does not answer; as sysexits(3) has it
    TIMED_OUT = 124  # as timeout(1) has it
    INTERRUPTED = 130  # as shells have it


_BY_OUTCOME = {
    "Platform": Exit.PLATFORM,
    "Sandbox": Exit.SANDBOX,
    "User": Exit.USER,
    "Cancelled": Exit.CANCELLED,
    "Succeeded": Exit.SUCCEEDED,
}
"""The first that any of several runs has is the code of all: what no strategy can mend comes before what one can."""


def exit_of(results: Iterable["Result"]) -> Exit:
    """Return the exit code of finished runs."""
    found = {result.outcome for result in results}
    return next((code for outcome, code in _BY_OUTCOME.items() if outcome in found), Exit.SUCCEEDED)
