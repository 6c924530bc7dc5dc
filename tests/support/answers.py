"""The operator's hand: what it would write into a run's status, written by a test."""

from typing import Any

from strategyrun.domain.strategyrun import RERUN_ANNOTATION, RERUN_LIMIT
from support.cluster import Cluster, Kind, Manifest

INPUTS = "a" * 64

FAILED: dict[str, str] = {"User": "StrategyError", "Sandbox": "ImagePullFailed", "Platform": "NodeLost"}
"""A reason for each class of failure."""


def status(phase: str = "Succeeded", reason: str = "Evaluated", *, generation: int = 1, **fields: Any) -> Manifest:
    """Build a status: the shortest valid one, with the given fields."""
    shortest = {
        "observedGeneration": generation,
        "phase": phase,
        "reason": reason,
        "message": "so it is",
        "inputsHash": INPUTS,
    }
    return shortest | fields


def scored(sharpe: float = 1.0, **fields: Any) -> Manifest:
    """Build the status of a run that the evaluator scored."""
    metrics = {"sharpe": sharpe, "totalReturn": sharpe / 2, "maxDrawdown": -0.25, "trades": 12, "days": 3270}
    equity = {"from": "2000-03-01", "to": "2013-03-01", "values": [1.0, 1.2, 0.9, 1.0 + sharpe / 2]}
    moments = {"acceptedAt": "2026-01-01T00:00:00.000Z", "finishedAt": "2026-01-01T00:00:04.500Z"}
    given = {"kind": "Positions", "executor": "Sandbox", "metrics": metrics, "equity": equity, **moments} | fields
    return status(message="scored 3270 days", **given)


def failed(class_: str, reason: str = "", **fields: Any) -> Manifest:
    """Build the status of a run that failed."""
    reason = reason or FAILED[class_]
    failure = {"class": class_, "reason": reason, "message": "it broke", "lastLines": ["last words"], "exitCode": 1}
    return status("Failed", reason, message="it broke", failure=failure | fields.pop("failure", {}), **fields)


def cancelled() -> Manifest:
    """Build the status of a run that nobody wanted any more."""
    return status("Cancelled", "Cancelled", message="cancelled")


def body(name: str = "run", written: Manifest | None = None, **spec: Any) -> Manifest:
    """Build a whole run, as the API server would hold it."""
    meta = {"name": name, "namespace": "research", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}
    run = {"apiVersion": "finlab-sandbox.dev/v1alpha1", "kind": "StrategyRun", "metadata": meta, "spec": spec}
    return run | ({"status": written} if written else {})


def answer(cluster: Cluster, kind: Kind, namespace: str, name: str, written: Manifest) -> Manifest:
    """Write a status, of the run's present generation and rerun."""
    meta = cluster.get(kind, name, namespace)["metadata"]
    rerun = (meta.get("annotations") or {}).get(RERUN_ANNOTATION, "")[:RERUN_LIMIT] or None
    patch = {"status": written | {"observedGeneration": meta["generation"], "observedRerun": rerun}}
    return cluster.merge(kind, name, namespace, patch, subresource="status")
