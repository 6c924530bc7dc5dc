"""How attacks must end, whatever machine and engine they run on."""

import re

from abuse.cases import Case
from support.local import LocalRun


def assert_ends_right(case: Case, found: LocalRun) -> None:
    """The reason is one of the case's own, the exit code says whose fault it is, what is told is small and clean."""
    status = found.status
    told = "\n".join([status.get("message", ""), *status.get("failure", {}).get("lastLines", [])])
    assert status["reason"] in case.expected, status
    assert found.exit_code == (10 if status["phase"] == "Failed" else 0)
    assert re.search(case.says, told), told
    assert all(line.isprintable() for line in told.splitlines())
    assert len(repr(status)) <= 16 * 1024
