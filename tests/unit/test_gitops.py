"""What Argo CD and Flux make of a run: their own programs, on statuses as the operator writes them."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa import lua51

from strategyrun.domain.outcomes import FAILURES, Reason
from strategyrun.domain.status import accept, advance, fail
from strategyrun.domain.strategyrun import NOT_SEEN, Phase, StrategyRunStatus
from strategyrun.domain.verdict import Fault
from support.builders import NOW, make_run, run_body

CHECKOUT = Path(__file__).parents[2]
RUN = make_run(generation=3)
BEGUN = accept(RUN, "a" * 64, NOW)

Document = dict[str, Any]


def moved(phase: Phase, reason: Reason, message: str = "so it is") -> StrategyRunStatus:
    """Move the run on."""
    return advance(BEGUN, RUN, NOW, phase, reason, message)


SEEN: dict[str, tuple[StrategyRunStatus | None, str, str]] = {
    "unseen": (None, "Progressing", "InProgress"),
    "begun": (BEGUN, "Progressing", "InProgress"),
    "suspended": (moved(Phase.QUEUED, Reason.SUSPENDED), "Suspended", "InProgress"),
    "unschedulable": (moved(Phase.STARTING, Reason.UNSCHEDULABLE), "Progressing", "InProgress"),
    "retrying": (moved(Phase.QUEUED, Reason.RETRYING), "Progressing", "InProgress"),
    "running": (moved(Phase.RUNNING, Reason.RUNNING), "Progressing", "InProgress"),
    "evaluated": (moved(Phase.SUCCEEDED, Reason.EVALUATED), "Healthy", "Current"),
    "self-reported": (moved(Phase.SUCCEEDED, Reason.SELF_REPORTED), "Healthy", "Current"),
    "script": (moved(Phase.SUCCEEDED, Reason.SCRIPT_COMPLETED), "Healthy", "Current"),
    "cancelled": (moved(Phase.CANCELLED, Reason.CANCELLED), "Degraded", "Failed"),
    **{
        f"failed {reason}": (fail(BEGUN, RUN, NOW, Fault(Reason(reason), 'a "quoted"\nmessage')), "Degraded", "Failed")
        for reason in FAILURES
    },
}
"""Name: status, Argo CD's health, kstatus' word."""


def document(status: StrategyRunStatus | None, *, generation: int = 3) -> Document:
    """Build the run as the API server returns it."""
    return run_body(generation=generation, status=status.document() if status else NOT_SEEN)


def argo_health(run: Document) -> dict[str, str]:
    """Run the health check as Argo CD does: Lua 5.1, the object in `obj`, without the standard library."""
    patch = yaml.safe_load((CHECKOUT / "manifests/gitops/argocd-cm.yaml").read_text())
    ((key, check),) = patch["data"].items()
    group, kind = run["apiVersion"].split("/")[0], run["kind"]
    assert key == f"resource.customizations.health.{group}_{kind}"
    lua = lua51.LuaRuntime(register_eval=False, register_builtins=False)
    for name in list(lua.globals()):
        if name != "_G":
            lua.globals()[name] = None
    lua.globals().obj = lua.table_from(run, recursive=True)
    return dict(lua.execute(check))


@pytest.mark.parametrize("name", SEEN)
def test_argo_cd_sees_where_a_run_stands(name: str) -> None:
    """With the reason and the message of the status."""
    status, health, _ = SEEN[name]
    seen = argo_health(document(status))
    assert seen["status"] == health
    if status:
        assert seen["message"] == (f"{status.reason}: {status.message}" if status.message else status.reason)


def test_argo_cd_waits_where_an_older_definition_shows_no_status() -> None:
    """Nobody has seen the run there either."""
    assert argo_health(run_body())["status"] == "Progressing"


def test_argo_cd_does_not_take_the_answer_to_an_older_spec_for_the_new() -> None:
    """Whatever that answer was."""
    for status, _, _ in SEEN.values():
        if status:
            assert argo_health(document(status, generation=4))["status"] == "Progressing"


@pytest.fixture(scope="module")
def kstatus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the program round the library that Flux asks."""
    if shutil.which("go") is None:
        pytest.skip("building the program that asks kstatus takes Go")
    program = tmp_path_factory.mktemp("kstatus") / "kstatus"
    subprocess.run(
        ["go", "build", "-trimpath", "-o", program, "."],
        cwd=CHECKOUT / "tests" / "kstatus",
        env=os.environ | {"CGO_ENABLED": "0"},
        check=True,
    )
    return program


def words(program: Path, runs: list[Document]) -> list[str]:
    """Ask kstatus for each run."""
    answer = subprocess.run([program], input=json.dumps(runs), capture_output=True, text=True, check=True)
    return answer.stdout.splitlines()


def test_kstatus_sees_where_a_run_stands(kstatus: Path) -> None:
    """Current only when there is an answer, Failed only when there will be none."""
    seen = words(kstatus, [document(status) for status, _, _ in SEEN.values()])
    assert dict(zip(SEEN, seen, strict=True)) == {name: word for name, (_, _, word) in SEEN.items()}


def test_kstatus_does_not_take_the_answer_to_an_older_spec_for_the_new(kstatus: Path) -> None:
    """Whatever that answer was."""
    assert set(words(kstatus, [document(status, generation=4) for status, _, _ in SEEN.values() if status])) == {
        "InProgress"
    }
