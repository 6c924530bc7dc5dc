"""What Argo CD, Flux and kustomize make of a run: their own programs, on statuses as the operator writes them."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa import lua51

from strategyrun.domain.outcomes import FAILURES, Reason
from strategyrun.domain.status import accept, advance, fail
from strategyrun.domain.strategyrun import NOT_SEEN, RERUN_LIMIT, Phase, StrategyRunStatus
from strategyrun.domain.verdict import Fault
from support.builders import NOW, make_run, run_body
from support.snippets import snippets

pytestmark = pytest.mark.timeout(1800)  # where Go has compiled nothing yet, it does so for minutes, once a worker

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


def document(status: StrategyRunStatus | None, *, generation: int = 3, rerun: str | None = None) -> Document:
    """Build the run as the API server returns it."""
    return run_body(generation=generation, rerun=rerun, status=status.document() if status else NOT_SEEN)


def argo_health(run: Document) -> dict[str, str]:
    """Run the health check as Argo CD does: Lua 5.1, the object in `obj`, without the standard library, and so without
    methods of strings.
    """
    patch = yaml.safe_load((CHECKOUT / "manifests/gitops/argocd-cm.yaml").read_text())
    ((key, check),) = patch["data"].items()
    group, kind = run["apiVersion"].split("/")[0], run["kind"]
    assert key == f"resource.customizations.health.{group}_{kind}"
    lua = lua51.LuaRuntime(register_eval=False, register_builtins=False)
    lua.execute("getmetatable('').__index = nil")
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


@pytest.mark.parametrize("before", [None, "", "1"])
@pytest.mark.parametrize("after", [None, "", "1", "2"])
def test_argo_cd_does_not_take_the_answer_before_a_rerun_for_the_new(before: str | None, after: str | None) -> None:
    """The annotation raises no generation: it is the operator that says which value a status answers."""
    for status, health, _ in SEEN.values():
        if status:
            told = status.model_copy(update={"observed_rerun": before})
            seen = argo_health(document(told, rerun=after))
            assert seen["status"] == (health if before == after else "Progressing")
            assert before == after or seen["message"] == "waiting for the operator to see the change"


@pytest.mark.parametrize(
    ("value", "other"),
    [
        pytest.param("x" * RERUN_LIMIT, "x" * (RERUN_LIMIT - 1), id="at-the-limit"),
        pytest.param("x" * 5000, "x" * (RERUN_LIMIT - 1) + "y" * 5000, id="beyond-it"),
        pytest.param("é" * 5000, "é" * (RERUN_LIMIT - 1) + "e" * 5000, id="not-ascii"),
        pytest.param("\U0010ffff" * 200, "\U0010ffff" * (RERUN_LIMIT - 1), id="the-last-character-there-is"),
    ],
)
def test_argo_cd_knows_a_long_rerun_by_how_it_begins(value: str, other: str) -> None:
    """The status repeats its first characters."""
    asked = make_run(generation=3, rerun=value)
    status = advance(accept(asked, "a" * 64, NOW), asked, NOW, Phase.SUCCEEDED, Reason.EVALUATED, "")
    assert argo_health(document(status, rerun=value))["status"] == "Healthy"
    assert argo_health(document(status, rerun=other))["status"] == "Progressing"


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


def test_kstatus_cannot_see_a_rerun(kstatus: Path) -> None:
    """It knows generations alone: that is why the page tells users of Flux to change an input instead."""
    status = moved(Phase.SUCCEEDED, Reason.EVALUATED)
    assert words(kstatus, [document(status, rerun="2")]) == ["Current"]


def test_kustomize_writes_generated_names_into_a_run(tmp_path: Path) -> None:
    """With the files of the page and the configuration that it names; a claim is renamed like a ConfigMap."""
    if shutil.which("kubectl") is None:
        pytest.skip("rendering takes kubectl")
    for block in snippets(CHECKOUT / "docs" / "gitops.md", "yaml"):
        (title,) = re.findall(r'title="([^"]+)"', block.info)
        (tmp_path / title).write_text(block.text)
    shutil.copy(CHECKOUT / "manifests" / "gitops" / "kustomizeconfig.yaml", tmp_path)
    (tmp_path / "strategy.py").write_text("position = 1")
    (tmp_path / "prices.csv.gz").write_bytes(b"\x1f\x8b")
    claimed = run_body("claimed", datasets=[{"name": "prices", "persistentVolumeClaim": {"claimName": "prices"}}])
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "prices", "namespace": "research"},
    }
    (tmp_path / "more.yaml").write_text(yaml.safe_dump_all([claimed, claim]))
    kustomization = tmp_path / "kustomization.yaml"
    whole = yaml.safe_load(kustomization.read_text())
    whole |= {"resources": [*whole["resources"], "more.yaml"], "namePrefix": "team-"}
    kustomization.write_text(yaml.safe_dump(whole))

    rendered = subprocess.run(
        ["kubectl", "kustomize", str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    documents = list(yaml.safe_load_all(rendered))
    made = {each["metadata"]["name"] for each in documents if each["kind"] == "ConfigMap"}
    runs = {each["metadata"]["name"]: each["spec"] for each in documents if each["kind"] == "StrategyRun"}
    momentum, (of_claim,) = runs["team-momentum"], runs["team-claimed"]["datasets"]
    assert {momentum["source"]["configMapRef"]["name"], momentum["datasets"][0]["configMapRef"]["name"]} == made
    assert all(re.fullmatch(r"team-(momentum|prices)-[a-z0-9]{10}", name) for name in made)
    assert len(made) == 2
    assert of_claim["persistentVolumeClaim"]["claimName"] == "team-prices"
