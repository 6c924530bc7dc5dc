"""How attacks must end, whatever machine and engine they run on."""

import re
from pathlib import Path

from abuse.cases import Case
from support.endings import QUICK
from support.local import LocalRun, manifest


def assert_ends_right(case: Case, found: LocalRun) -> None:
    """The reason is one of the case's own, the exit code says whose fault it is, what is told is small and clean."""
    status = found.status
    told = "\n".join(
        [status.get("message", ""), *status.get("failure", {}).get("lastLines", []), *status.get("output", [])]
    )
    assert status["reason"] in case.expected, status
    assert found.exit_code == (10 if status["phase"] == "Failed" else 0)
    assert re.search(case.says, told), told
    assert all(line.isprintable() for line in told.splitlines())
    assert len(repr(status)) <= 16 * 1024


def attack(folder: Path, case: Case) -> Path:
    """Write the run of a case that has a file to read, and an address where nobody listens."""
    secret = folder / "secret"
    secret.write_text("nobody's business")
    secret.chmod(0o600)
    common = {"timeoutSeconds": 60, "retry": {"limit": 0}, "report": "Discard", "evaluation": QUICK}
    params = {"params": {"targets": [["127.0.0.1", 9]], "secret": str(secret)}}
    return manifest(folder, case.source, **(common | params | case.spec))
