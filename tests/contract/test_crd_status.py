"""The status: the operator's alone, stored word for word, and shown by kubectl."""

from collections.abc import Callable
from typing import Any

import pytest

from strategyrun.domain.strategyrun import NOT_SEEN, StrategyRunStatus
from support.cluster import Cluster, Kind, Manifest, RefusedError
from support.runs import strategy_run
from support.schema import SPEC, STATUS
from support.waiting import wait_until

_WHEN = "2026-01-02T03:04:05.678Z"
_LATER = "2026-01-02T03:05:09.012Z"

FULL_STATUS: dict[str, Any] = {
    "observedGeneration": 1,
    "observedRerun": "once more",
    "phase": "Succeeded",
    "reason": "Evaluated",
    "message": "scored 3267 days",
    "hint": "nothing to do",
    "executor": "Sandbox",
    "kind": "Positions",
    "inputsHash": "0" * 64,
    "conditions": [
        {
            "type": kind,
            "status": "True",
            "reason": "Evaluated",
            "message": "scored 3267 days",
            "observedGeneration": 1,
            "lastTransitionTime": _WHEN,
        }
        for kind in (
            *("Accepted", "Started", "Finished", "Succeeded"),
            *("LookAheadClean", "FallbackUsed", "Ready", "Stalled"),
        )
    ],
    "metrics": {
        "totalReturn": 0.25,
        "totalReturnBeforeCosts": 0.3,
        "cagr": 0.1,
        "volatility": 0.2,
        "sharpe": 0.91,
        "sharpeLag2": 0.8,
        "sortino": 1.25,
        "calmar": 0.5,
        "maxDrawdown": -0.2,
        "alpha": 0.02,
        "beta": 0.75,
        "turnover": 4.5,
        "exposure": 0.75,
        "trades": 12,
        "winRateDays": 0.5,
        "winRateTrades": 0.4,
        "days": 3267,
        "finalEquity": 1_250_000.5,
    },
    "summary": {
        "sharpe": "0.91",
        "totalReturn": "25.0",
        "maxDrawdown": "-20.0",
        "trades": "12",
        "duration": "4s",
    },
    "warnings": ["sortino: no losing day"],
    "lookAhead": {
        "samples": 5,
        "checked": 4,
        "changed": 1,
        "firstDate": "2004-05-03",
        "symbol": "AAPL",
        "note": "the time limit left room for 4 of 5",
        "deterministic": True,
    },
    "equity": {"from": "2000-03-01", "to": "2013-03-01", "values": [1, 1.5, 1.25]},
    "report": {"configMap": "run-0123456789ab-report", "sha256": "8" * 64},
    "selfReported": {"source": "SelfReported", "values": {"sharpe": 99.5}},
    "output": ["done"],
    "failure": {
        "class": "User",
        "reason": "StrategyError",
        "message": "KeyError: 'Close'",
        "exitCode": 1,
        "signal": "SIGKILL",
        "lastLines": ["Traceback"],
        "findings": [{"line": 1, "rule": "network", "hint": "use the dataset"}],
    },
    "fallback": {
        "used": True,
        "trigger": "ImagePullFailed",
        "message": "not found",
        "findings": [{"line": 2, "rule": "R-IMP", "hint": "take it out"}],
    },
    "queue": {"position": 3, "reason": "4 of 4 slots are taken"},
    "attempts": [
        {
            "number": number,
            "executor": "Sandbox",
            "jobName": f"run-0123456789ab-{number}",
            "jobUID": "11111111-2222-3333-4444-555555555555",
            "podName": f"run-0123456789ab-{number}-abcde",
            "node": f"node-{number}",
            "createdAt": _WHEN,
            "startedAt": _LATER,
            "finishedAt": _LATER,
            "reason": "Evaluated",
            "message": "scored 3267 days",
        }
        for number in (1, 2)
    ],
    "timings": {"queued": 0.5, "scheduled": 1, "started": 2, "strategy": 1.25, "lookAhead": 0.5, "evaluated": 0.05},
    "provenance": {
        "codeSHA256": "1" * 64,
        "paramsSHA256": "2" * 64,
        "datasetSHA256": "3" * 64,
        "positionsSHA256": "4" * 64,
        "seccompSHA256": "5" * 64,
        "imageID": "finlab-sandbox@sha256:6",
        "evaluator": "0.1.0",
        "node": "node-2",
        "isolation": {
            "seccomp": "finlab-sandbox/555555555555.json",
            "networkPolicy": "SeccompOnly",
            "runtimeClass": "gvisor",
            "landlock": 7,
        },
    },
    "acceptedAt": _WHEN,
    "finishedAt": _LATER,
    "history": [
        {
            "inputsHash": "7" * 64,
            "phase": "Failed",
            "reason": "Timeout",
            "finishedAt": _WHEN,
            "summary": {"sharpe": "", "totalReturn": "", "maxDrawdown": "", "trades": "", "duration": "300s"},
            "report": {"configMap": "run-ba9876543210-report", "sha256": "9" * 64},
        }
    ],
}

Write = Callable[..., Manifest]


@pytest.fixture
def write(cluster: Cluster, strategy_run_kind: Kind, namespace: str) -> Write:
    """Create a run if need be, and merge something into its status."""

    def merge(name: str = "run", **status: Any) -> Manifest:
        if cluster.find(strategy_run_kind, name, namespace) is None:
            cluster.create(strategy_run(name, namespace, kind=strategy_run_kind))
        return cluster.merge(strategy_run_kind, name, namespace, {"status": status}, subresource="status")

    return merge


def finished(sharpe: float | None, phase: str = "Succeeded") -> dict[str, Any]:
    """Build the least status of a run with this Sharpe ratio."""
    metrics = {} if sharpe is None else {"sharpe": sharpe}
    shortest = {"observedGeneration": 1, "phase": phase, "reason": "R", "message": "m", "inputsHash": "0"}
    return shortest | {"metrics": metrics}


def resource(kind: Kind) -> str:
    """Name the resource as kubectl takes it."""
    group, version = kind.api_version.split("/")
    return f"strategyruns.{version}.{group}"


def kubectl_order(cluster: Cluster, kind: Kind, namespace: str, path: str) -> str:
    """Sort runs as kubectl does, and return their names."""
    listed = cluster.kubectl("get", resource(kind), "-n", namespace, f"--sort-by={path}", "-o", "name")
    return " ".join(line.rpartition("/")[2] for line in listed.split())


def test_every_field_of_the_status_is_stored_as_written(write: Write) -> None:
    """The schema knows each field of the model, prunes none and adds none."""
    assert write(**FULL_STATUS)["status"] == FULL_STATUS
    assert StrategyRunStatus.model_validate(FULL_STATUS).document() == FULL_STATUS


def test_the_full_status_has_every_field_of_the_schema() -> None:
    """What the test above writes is complete."""

    def paths(value: Any, path: str) -> set[str]:
        match value:
            case dict():
                inner = "[]" if "additionalProperties" in STATUS[path] else ".{}"
                return {path}.union(*(paths(each, path + inner.format(name)) for name, each in value.items()))
            case list():
                return {path}.union(*(paths(each, f"{path}[]") for each in value))
            case _:
                return {path}

    assert paths(FULL_STATUS, "status") == set(STATUS)


def test_users_cannot_write_a_status(cluster: Cluster, strategy_run_kind: Kind, namespace: str) -> None:
    """A status in a manifest is dropped, when it is created and when it is applied."""
    run = strategy_run("run", namespace, kind=strategy_run_kind) | {"status": finished(99)}
    assert cluster.create(run)["status"] == NOT_SEEN
    assert cluster.apply(run)["status"] == NOT_SEEN


def test_a_status_does_not_touch_the_spec(cluster: Cluster, strategy_run_kind: Kind, namespace: str) -> None:
    """Writing the status leaves spec and generation alone, whatever the patch holds."""
    before = cluster.create(strategy_run("run", namespace, kind=strategy_run_kind))
    patch = {"spec": {"timeoutSeconds": 7}, "status": finished(1.5)}
    after = cluster.merge(strategy_run_kind, "run", namespace, patch, subresource="status")
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["status"] == finished(1.5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"phase": "Done"}, 'status.phase: Unsupported value: "Done"', id="phase"),
        pytest.param({"executor": "Laptop"}, 'status.executor: Unsupported value: "Laptop"', id="executor"),
        pytest.param({"observedGeneration": None}, "status.observedGeneration: Required value", id="no-generation"),
        pytest.param({"phase": None}, "status.phase: Required value: phase must be set", id="no-phase"),
        pytest.param({"reason": None}, "status.reason: Required value", id="no-reason"),
        pytest.param({"inputsHash": None}, "status.inputsHash: Required value: inputsHash must be set", id="no-hash"),
        pytest.param(
            {"metrics": {"sharpe": "0.9"}}, 'status.metrics.sharpe: Invalid value: "string"', id="metric-as-text"
        ),
        pytest.param(
            {"history": FULL_STATUS["history"] * 6}, "status.history: Too many: 6: must have at most 5", id="history"
        ),
        pytest.param(
            {"conditions": FULL_STATUS["conditions"][:1] * 2},
            "status.conditions[1]: Duplicate value",
            id="condition-twice",
        ),
        pytest.param({"finishedAt": "yesterday"}, "status.finishedAt", id="moment"),
        pytest.param({"verdict": "Good"}, 'unknown field "status.verdict"', id="unknown-field"),
    ],
)
def test_refuses_a_status_that_is_none(write: Write, change: dict[str, Any], says: str) -> None:
    """A defect of the operator is stopped by the server instead of reaching the user."""
    with pytest.raises(RefusedError) as refusal:
        write(**FULL_STATUS | change)
    assert says in refusal.value.message


def test_columns(cluster: Cluster, strategy_run_kind: Kind, namespace: str, write: Write) -> None:
    """The table shows the verdict at a glance, and with -o wide what to do next."""
    write(**FULL_STATUS)
    table = cluster.table(strategy_run_kind, namespace)
    columns = table["columnDefinitions"]
    cells = dict(zip([column["name"] for column in columns], table["rows"][0]["cells"], strict=True))
    assert cells.pop("Age")
    assert cells == {
        "Name": "run",
        "Phase": "Succeeded",
        "Reason": "Evaluated",
        "Executor": "Sandbox",
        "Sharpe": "0.91",
        "Return%": "25.0",
        "MaxDD%": "-20.0",
        "Trades": "12",
        "Duration": "4s",
        "Kind": "Positions",
        "LookAheadClean": "True",
        "Node": "node-2",
        "Pod": "run-0123456789ab-2-abcde",
        "Message": "scored 3267 days",
        "Hint": "nothing to do",
    }
    assert [column["name"] for column in columns if column["priority"]] == [
        "Kind",
        "LookAheadClean",
        "Node",
        "Pod",
        "Message",
        "Hint",
    ]


def test_columns_of_a_run_that_nobody_has_seen(cluster: Cluster, strategy_run_kind: Kind, namespace: str) -> None:
    """The table says so."""
    cluster.create(strategy_run("run", namespace, kind=strategy_run_kind))
    table = cluster.table(strategy_run_kind, namespace)
    names = [column["name"] for column in table["columnDefinitions"]]
    cells = dict(zip(names, table["rows"][0]["cells"], strict=True))
    assert cells.pop("Age")
    assert {name: cell for name, cell in cells.items() if cell} == {
        "Name": "run",
        "Reason": "NotSeen",
        "Message": "no operator has seen it yet",
    }


def test_kubectl_sorts_by_a_metric(cluster: Cluster, strategy_run_kind: Kind, namespace: str, write: Write) -> None:
    """Metrics are numbers: 12.5 comes after 2.25; a run without the metric comes first."""
    for name, sharpe in {"a": 2.25, "b": -0.5, "c": 12.5, "d": None}.items():
        write(name, **finished(sharpe))
    assert kubectl_order(cluster, strategy_run_kind, namespace, ".status.metrics.sharpe") == "d b a c"


def test_kubectl_sorts_by_a_column(cluster: Cluster, strategy_run_kind: Kind, namespace: str, write: Write) -> None:
    """Plain decimals in the summary sort as numbers too, whole ones among them.

    That is more than kubectl can do with metrics: it reads 1 as an integer, which it does not
    compare with 0.5, and gives up.
    """
    for name, sharpe in {"a": "2.25", "b": "-0.50", "c": "12.50", "d": "", "e": "1.00", "f": "-10.00"}.items():
        write(name, **finished(None) | {"summary": {"sharpe": sharpe}})
    assert kubectl_order(cluster, strategy_run_kind, namespace, ".status.summary.sharpe") == "d f b e a c"


def test_runs_are_selected_by_phase(cluster: Cluster, strategy_run_kind: Kind, namespace: str, write: Write) -> None:
    """Field selectors on phase and reason are answered by the server, those that nobody has seen among them."""
    cluster.create(strategy_run("new", namespace, kind=strategy_run_kind))
    write("good", **finished(1.5))
    write("bad", **finished(None, phase="Failed"))
    for selector, expected in {
        "status.phase=Failed": ["bad"],
        "status.reason=R": ["bad", "good"],
        "status.reason=NotSeen": ["new"],
    }.items():
        found = cluster.list(strategy_run_kind, namespace, fields=selector)
        assert sorted(run["metadata"]["name"] for run in found) == expected


def test_kubectl_waits_for_the_end(cluster: Cluster, strategy_run_kind: Kind, namespace: str, write: Write) -> None:
    """`kubectl wait --for=condition=Finished` returns."""
    write(**FULL_STATUS)
    waited = cluster.kubectl(
        "wait", "--for=condition=Finished", "--timeout=10s", "-n", namespace, f"{resource(strategy_run_kind)}/run"
    )
    assert "condition met" in waited


def test_short_name_and_category(cluster: Cluster, strategy_run_kind: Kind) -> None:
    """`kubectl get srun` and `kubectl get finlab` list runs; `kubectl delete all --all` spares them."""
    found = cluster.resources(strategy_run_kind.api_version)
    assert found["strategyruns"]["shortNames"] == ["srun"]
    assert found["strategyruns"]["categories"] == ["finlab"]
    assert found["strategyruns"]["singularName"] == "strategyrun"
    assert found["strategyruns"]["namespaced"] is True
    assert "strategyruns/status" in found


def test_kubectl_explains_every_field(cluster: Cluster, strategy_run_kind: Kind) -> None:
    """The descriptions of the models are what `kubectl explain` prints."""

    def explained(path: str) -> str:
        try:
            return " ".join(
                cluster.kubectl(
                    "explain", f"strategyrun.{path}", f"--api-version={strategy_run_kind.api_version}"
                ).split()
            )
        except RefusedError as error:
            return str(error)

    wait_until("the schema is published", lambda: explained("spec"), lambda text: "FIELDS" in text)
    for field, schema in (SPEC | STATUS).items():
        if schema["type"] == "object" and "properties" in schema:
            text = explained(field.replace("[]", ""))
            for name, child in schema["properties"].items():
                assert child["description"] in text, f"{field}.{name}"
